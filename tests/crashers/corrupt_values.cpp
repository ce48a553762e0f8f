// A program that dies with locals that are damaged in known ways, next to healthy ones.
//
// Damage is done to the bytes of an object, at the offsets that libstdc++ gives its members on
// 64-bit machines; tests/gdb/test_corrupt_values.py knows what each name stands for.
#include <any>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "keep.hpp"

namespace corrupt {

constexpr std::uint64_t HUGE_COUNT = std::uint64_t{1} << 60;
constexpr std::uint64_t WILD = 0x0000dead'beef0000;

struct Meter {
    int connector = 0;
    double energy_wh = 0.0;
    std::string name;
};

struct Link {
    int number;
    Link* next;
};

template <int Depth>
struct Nest {
    int level = Depth;
    Nest<Depth - 1> inner;
};

template <>
struct Nest<0> {
    int level = 0;
};

template <typename Object>
void put(Object& object, std::size_t word, std::uint64_t value) {
    std::memcpy(reinterpret_cast<char*>(&object) + 8 * word, &value, sizeof value);
}

template <typename Object>
std::uint64_t get(const Object& object, std::size_t word) {
    std::uint64_t value = 0;
    std::memcpy(&value, reinterpret_cast<const char*>(&object) + 8 * word, sizeof value);
    return value;
}

std::uint64_t* words_at(std::uint64_t address) {
    return reinterpret_cast<std::uint64_t*>(address);
}

// Words of a tree: comparison, colour, root, leftmost, rightmost, count.
// Words of its nodes: colour, parent, left, right, element.
template <typename Tree>
void make_cyclic(Tree& tree) {
    std::uint64_t* root = words_at(get(tree, 2));
    root[3] = reinterpret_cast<std::uint64_t>(root);
    put(tree, 5, HUGE_COUNT);
}

// Whose left and right child it is itself: the way to the next element never ends.
template <typename Tree>
void make_endless(Tree& tree) {
    std::uint64_t* root = words_at(get(tree, 2));
    root[2] = root[3] = reinterpret_cast<std::uint64_t>(root);
}

// A hundred megabytes to print, for those who ask for whole strings: a line begins everywhere.
char page[1 << 18];
const char* lines[400];

void fill_page() {
    for (std::size_t at = 0; at + 1 < sizeof page; ++at) {
        page[at] = "0123456789abcdefghijklm"[at % 23];
    }
    for (std::size_t at = 0; at < std::size(lines); ++at) {
        lines[at] = page + at;
    }
}

REAL_FRAME void die(int connector) {
    const int healthy_int = 4711;
    const std::string healthy_text = "Session 4711";
    const std::vector<int> healthy_vector{1, 2, 3};
    const std::map<int, std::string> healthy_map{{1, "one"}, {2, "two"}};
    const std::set<int> healthy_set{10, 20, 30};
    const std::list<int> healthy_list{4, 5, 6};
    const std::deque<int> healthy_deque{7, 8, 9};
    const std::unordered_map<std::string, int> healthy_table{{"phase", 3}};
    const std::optional<int> healthy_optional = 7;
    const std::variant<int, std::string> healthy_variant = std::string("paused");
    const std::shared_ptr<Meter> healthy_shared = std::make_shared<Meter>(Meter{2, 1.5, "L1"});
    const std::unique_ptr<Meter> healthy_unique = std::make_unique<Meter>(Meter{3, 2.5, "L2"});
    const std::function<int()> healthy_function = [connector] { return connector; };
    const std::tuple<int, char, std::string> healthy_tuple{1, 'b', "c"};
    const std::array<int, 3> healthy_array{11, 12, 13};
    const Meter healthy_meter{1, 230.5, "grid"};
    const char healthy_chars[] = "connector";

    std::map<int, int> map_count{{1, 10}, {2, 20}};
    put(map_count, 5, HUGE_COUNT);
    std::map<int, std::string> map_wild{{1, "one"}, {2, "two"}};
    for (const std::size_t word : {2, 3, 4}) {
        put(map_wild, word, WILD);
    }
    put(map_wild, 5, HUGE_COUNT);
    std::map<int, int> map_cyclic{{1, 1}, {2, 2}, {3, 3}};
    make_cyclic(map_cyclic);
    std::set<int> set_cyclic{1, 2, 3};
    make_cyclic(set_cyclic);
    std::map<int, int> map_endless{{1, 1}, {2, 2}, {3, 3}};
    make_endless(map_endless);
    std::vector<int> vector_huge{1, 2, 3};
    put(vector_huge, 1, get(vector_huge, 0) + 4 * HUGE_COUNT);
    std::vector<std::string> vector_wild{"a"};
    put(vector_wild, 0, WILD);
    put(vector_wild, 1, WILD + 32 * 1'000'000);
    std::list<int> list_cyclic{1, 2, 3};
    words_at(*words_at(get(list_cyclic, 0)))[0] = get(list_cyclic, 0);  // the second's next
    std::list<int> list_wild{1, 2, 3};
    words_at(get(list_wild, 0))[0] = WILD;
    std::unordered_map<int, int> table_cyclic{{1, 1}, {2, 2}, {3, 3}};
    words_at(get(table_cyclic, 2))[0] = get(table_cyclic, 2);
    std::unordered_map<int, int> table_wild{{1, 1}, {2, 2}};
    put(table_wild, 2, WILD);
    put(table_wild, 3, HUGE_COUNT);
    std::string string_huge = "a string that is too long for the inside of its object";
    put(string_huge, 1, HUGE_COUNT);
    std::string string_wild = "a string that is too long for the inside of its object";
    put(string_wild, 0, WILD);
    std::deque<int> deque_garbage{1, 2, 3};
    std::memset(static_cast<void*>(&deque_garbage), 0xa5, sizeof deque_garbage);
    std::deque<int> deque_huge{1, 2, 3};
    put(deque_huge, 9, get(deque_huge, 5) + 8 * HUGE_COUNT);
    const std::function<void()> function_null;
    std::function<void()> function_wild = [] {};
    put(function_wild, 2, WILD);
    put(function_wild, 3, WILD);
    std::any any_wild = 1;
    put(any_wild, 0, WILD);
    std::optional<std::string> optional_odd;
    std::memset(static_cast<void*>(&optional_odd), 0xa5, sizeof optional_odd);
    std::variant<int, std::string> variant_odd = 1;
    put(variant_odd, 4, 77);
    std::shared_ptr<int> shared_wild = std::make_shared<int>(5);
    put(shared_wild, 1, WILD);
    std::unique_ptr<Meter> unique_wild;
    put(unique_wild, 0, WILD);

    const Nest<40> nested;
    std::vector<int> many(10'000);
    for (std::size_t at = 0; at < many.size(); ++at) {
        many[at] = static_cast<int>(at);
    }
    const std::string long_text(10'000, '?');
    std::string mixed_text;
    while (mixed_text.size() < 10'000) {
        mixed_text += "abcdefghij"[mixed_text.size() % 10];
    }
    char unterminated[64];
    std::memset(unterminated, 'u', sizeof unterminated);
    Link ring{1, nullptr};
    Link second{2, &ring};
    ring.next = &second;
    const char* slow[400];
    std::memcpy(slow, lines, sizeof slow);
    const char*(&slow_reference)[400] = lines;
    // Everything behind the slow one must still be read.
    const int last_int = 1147;

    keep(healthy_int);
    keep(healthy_optional);
    keep(healthy_array);
    keep(healthy_chars);
    keep(slow);
    keep(slow_reference);
    keep(last_int);
    *opaque(static_cast<int*>(nullptr)) = connector;
    keep_frame();
}

} // namespace corrupt

int main() {
    corrupt::fill_page();
    corrupt::die(opaque(2));
    keep_frame();
}
