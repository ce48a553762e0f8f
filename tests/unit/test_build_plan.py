"""What is to be built, and what is refused before anything starts."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze.build_context import count_words, describe, parts_of, size_words
from evdiag.analyze.build_plan import (
    Finding,
    Request,
    Tree,
    build_arguments,
    buildx_arguments,
    check_place,
    check_request,
    judge_sources,
    needs_buildx,
    plan_jobs,
    read_build_args,
    read_dependencies,
    read_platforms,
    refuse_checkout,
)
from evdiag.errors import NotReady, UsageError


@pytest.mark.parametrize(
    "tag", ["x", "evdiag/everest:latest", "host:5000/a/b.c_d--e:V1.2-x", "localhost/x:1"]
)
def test_names_of_images(tag: str) -> None:
    check_request(Request(tag=tag, cache_from=(tag,), everest_ref="2026.02.1", push=True))


@pytest.mark.parametrize(
    "request_",
    [
        Request(tag="Upper"),
        Request(tag=""),
        Request(tag="a b"),
        Request(tag="-t"),
        Request(tag="a" * 301),
        Request(tag="a:b:c"),
        Request(cache_from=("fine", "--evil")),
        Request(everest_ref=""),
        Request(everest_ref="--upload-pack=x"),
        Request(everest_ref="a b"),
        Request(push=True, archive="x.tar"),
    ],
)
def test_what_cannot_be_meant(request_: Request) -> None:
    with pytest.raises(UsageError) as caught:
        check_request(request_)
    assert caught.value.advice


@given(st.text(max_size=80))
def test_no_name_takes_long_to_refuse(text: str) -> None:
    for tag in (text, "a" * 60 + text, "a-" * 100 + text):
        with contextlib.suppress(UsageError):
            check_request(Request(tag=tag))
            assert re.fullmatch(r"[\w.:/-]+", tag, re.ASCII)


def test_platforms() -> None:
    assert read_platforms(None) == ()
    assert read_platforms(" linux/AMD64, aarch64,,arm64/v8") == ("linux/amd64", "linux/arm64")
    for text in ("windows/amd64", "linux/arm/v7", "linux/amd64,riscv64"):
        with pytest.raises(UsageError, match="no image for the platform"):
            read_platforms(text)


def test_build_arguments() -> None:
    given_ = read_build_args(["A=1=2", "B", "C="], {"B": "b", "A": "x"})
    assert given_ == {"A": "1=2", "B": "b", "C": ""}
    for text in ("=x", "A B=1", "", "1=2"):
        with pytest.raises(UsageError, match="is not KEY=VALUE"):
            read_build_args([text], {})
    with pytest.raises(UsageError, match="D has no value"):
        read_build_args(["D"], {})

    assert build_arguments(Request(), revision="", version="1") == {"VERSION": "1"}
    request = Request(everest_ref="main", jobs=2, build_args={"VERSION": "own"})
    assert build_arguments(request, revision="abc", version="1") == {
        "VERSION": "own", "REVISION": "abc", "EVEREST_REF": "main", "EVEREST_JOBS": "2",
    }  # fmt: skip


# -- sources

DEPENDENCIES = "---\nlibfmt:\n  git: x\nJosev:\n  git: y\n# no:\nnlohmann_json: {}\n"


def tree(name: str, *, cmake: bool = True) -> Tree:
    return Tree(name=name, has_cmake=cmake)


def test_trees_that_are_fine() -> None:
    known = read_dependencies(DEPENDENCIES)
    assert known == {"libfmt", "Josev", "nlohmann_json"}

    trees = [tree(name) for name in ("libfmt", "everest-cmake", "everest", "Josev")]
    assert judge_sources(trees, known, None) == [
        Finding("everest-cmake: EVerest's build scripts"),
        Finding("everest: EVerest itself"),
        Finding("dependencies: Josev, libfmt"),
    ]
    assert judge_sources([tree("libfmt")], None, None)[-1] == Finding(
        "cloned: everest, everest-cmake, and dependencies that are not here"
    )


def test_trees_that_are_odd() -> None:
    trees = [tree("everest"), tree("everest-cmake"), tree("notes"), tree("libfmt", cmake=False)]
    odd = [
        finding.text
        for finding in judge_sources(trees, read_dependencies(DEPENDENCIES), "main")
        if finding.is_odd
    ]
    assert odd == [
        "notes: no dependency of that name in EVerest's dependencies.yaml",
        "libfmt: it has no CMakeLists.txt, so it may not build",
        "--everest-ref main is only written down: everest/ is built",
    ]


@pytest.mark.parametrize(
    ("trees", "why"),
    [
        ([], "holds no folder"),
        ([tree("photos", cmake=False)], "is a source tree"),
        ([tree("everest", cmake=False)], "not EVerest's source"),
        ([tree("everest"), tree("build")], "a folder `build`"),
        ([tree("everest"), tree("dependencies")], "a folder `dependencies`"),
    ],
)
def test_trees_that_cannot_be_built(trees: list[Tree], why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        judge_sources(trees, None, None)
    assert caught.value.advice


def test_a_checkout_in_place_of_the_folder_around_it() -> None:
    refuse_checkout("/src", frozenset(("everest", "CMakeLists.txt")))
    with pytest.raises(UsageError, match=r"/src .* is a checkout of EVerest") as caught:
        refuse_checkout("/src", frozenset(("CMakeLists.txt", "dependencies.yaml", "modules", "x")))
    assert "ln -s /src sources/everest" in caught.value.advice


# -- the engine

GB = 1_000_000_000


def test_how_many_compilers() -> None:
    assert plan_jobs(2, 25 * GB, None).text == (
        "up to 2 compilers at once, as free memory allows (2 cores and 25.0 GB)"
    )
    assert plan_jobs(16, 8 * GB, None).text.startswith("up to 3 compilers")
    assert plan_jobs(0, None, None).text == "up to 1 compiler at once, as free memory allows"
    assert plan_jobs(4, None, None).text.endswith("(4 cores)")
    assert plan_jobs(4, 16 * GB, 1) == plan_jobs(1, None, 1)
    assert plan_jobs(1, None, 1).text == "1 compiler at once"


def test_too_little_memory() -> None:
    assert plan_jobs(2, 3 * GB, None).warning == ""
    for memory, wanted in ((2 * GB, None), (2 * GB, 4), (2 * GB, 1)):
        assert "it may be killed" in plan_jobs(2, memory, wanted).warning
    assert plan_jobs(8, 8 * GB, 6).warning == (
        "6 compilers may want 16 GB, and the engine has 8.0 GB: --jobs 3 fits"
    )


@pytest.mark.parametrize(
    ("request_", "needed"),
    [
        (Request(), False),
        (Request(platforms=("linux/amd64",)), False),
        (Request(platforms=("linux/arm64",)), True),
        (Request(platforms=("linux/amd64", "linux/arm64")), True),
        (Request(push=True), True),
        (Request(archive="/x.tar"), True),
    ],
)
def test_who_builds(request_: Request, needed: bool) -> None:
    assert needs_buildx(request_, "amd64") is needed


def test_where_an_image_of_several_platforms_goes() -> None:
    both = ("linux/amd64", "linux/arm64")
    check_place(Request(platforms=both[:1]), keeps_several=False)
    check_place(Request(platforms=both), keeps_several=True)
    check_place(Request(platforms=both, push=True), keeps_several=False)
    check_place(Request(platforms=both, archive="x"), keeps_several=False)
    with pytest.raises(NotReady, match="one platform only") as caught:
        check_place(Request(platforms=both), keeps_several=False)
    assert "--push" in caught.value.advice


def test_the_words_for_buildx() -> None:
    start = ["buildx", "build", "--progress=plain", "--target", "runtime", "--tag", "x:1"]
    assert buildx_arguments(Request(tag="x:1"), {}) == [*start, "--load", "-"]
    request = Request(
        tag="x:1", platforms=("linux/amd64", "linux/arm64"), no_cache=True, cache_from=("a", "b"),
        push=True,
    )  # fmt: skip
    assert buildx_arguments(request, {"A": "1 2", "B": ""}) == [
        *start, "--platform", "linux/amd64,linux/arm64", "--no-cache",
        "--cache-from", "a", "--cache-from", "b", "--build-arg", "A=1 2", "--build-arg", "B=",
        "--push", "-",
    ]  # fmt: skip
    archive = Request(tag="x:1", archive='/tmp/a,b"c.tar')
    assert buildx_arguments(archive, {})[-3:] == [
        "--output", 'type=oci,"dest=/tmp/a,b""c.tar"', "-",
    ]  # fmt: skip


# -- --print-context


def test_what_would_be_sent() -> None:
    parts = parts_of(
        [
            ("Dockerfile", False, 12),
            ("capture", True, 0),
            ("capture/a.c", False, 1500),
            ("capture/b/c.c", False, 500),
            ("sources", True, 0),
            ("sources/everest", True, 0),
            ("sources/everest/x/y", False, 3_000_000),
            ("sources/README.md", False, 1),
        ]
    )
    request = Request(tag="x:1", platforms=("linux/arm64",))
    findings = [Finding("everest: EVerest itself"), Finding("notes: odd", True)]

    assert count_words(parts) == "5 files, 3.0 MB"
    assert describe("/c", "/s", parts, request, {"A": "1"}, findings) == [
        "context    /c",
        "sources/   /s",
        "image      x:1",
        "platforms  linux/arm64",
        "",
        "sent to the engine:",
        "  Dockerfile                             12 B",
        "  capture/                 2 files     2.0 kB",
        "  sources/everest/          1 file     3.0 MB",
        "  sources/README.md                       1 B",
        "  in all             5 files, 3.0 MB",
        "",
        "build arguments:",
        "  A=1",
        "",
        "source trees:",
        "  everest: EVerest itself",
        "  ! notes: odd",
    ]
    assert describe("/c", None, [], Request(), {}, [])[:2] == [
        "context    /c", "image      evdiag/everest:latest",
    ]  # fmt: skip


def test_sizes() -> None:
    sizes = [size_words(size) for size in (0, 999, 1000, 999_960, 12_345_678, 2 * 10**12)]
    assert sizes == ["0 B", "999 B", "1.0 kB", "1.0 MB", "12.3 MB", "2.0 TB"]
