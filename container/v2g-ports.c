/* Gives each connector after the first its own ISO 15118 ports. For LD_PRELOAD.
 *
 * EvseV2G listens on fixed ports, with SO_REUSEPORT. Where several of them share an interface, the
 * kernel hands the connection of a car to any of them: the car talks to the wrong connector. To
 * the search for a charger (SDP, a multicast) every one answers whose car is plugged in.
 *
 * For the modules iso15118_charger_N (argv[0] is ID:TYPE) and iso15118_car_N (EV_MODULE is the ID
 * of a Python module), this adds N - 1 to the ports that they bind, and to the port that the car
 * sends its search to. The answer names the port that the charger has, so that is all. It needs no
 * capability, unlike an interface for each connector.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* modules/EVSE/EvseV2G: sdp.cpp and connection/connection.cpp */
enum { SDP_PORT = 15118, TCP_PORT = 61341, TLS_PORT = 64109, CONNECTORS_MAX = 16 };

typedef int bind_function(int, const struct sockaddr *, socklen_t);
typedef ssize_t sendto_function(int, const void *, size_t, int, const struct sockaddr *, socklen_t);

/* The number behind a module's name, as far as it is this module. */
static int number_of(const char *id, const char *module)
{
    size_t length = strlen(module);
    return id != NULL && strncmp(id, module, length) == 0 ? atoi(id + length) : 0;
}

static int connector(void)
{
    int number = number_of(program_invocation_name, "iso15118_charger_");
    return number > 0 ? number : number_of(getenv("EV_MODULE"), "iso15118_car_");
}

/* Copies an address with the port of this connector, or says that there is nothing to change. */
static bool moved(const struct sockaddr *address, socklen_t size, struct sockaddr_in6 *copy)
{
    if (address == NULL || size < sizeof *copy || address->sa_family != AF_INET6)
        return false;
    memcpy(copy, address, sizeof *copy);
    int port = ntohs(copy->sin6_port);
    int number = connector();
    if ((port != SDP_PORT && port != TCP_PORT && port != TLS_PORT) || number < 2 ||
        number > CONNECTORS_MAX)
        return false;
    copy->sin6_port = htons((uint16_t)(port + number - 1));
    return true;
}

int bind(int descriptor, const struct sockaddr *address, socklen_t size)
{
    struct sockaddr_in6 copy;
    bind_function *next = (bind_function *)dlsym(RTLD_NEXT, "bind");
    if (moved(address, size, &copy))
        return next(descriptor, (const struct sockaddr *)&copy, sizeof copy);
    return next(descriptor, address, size);
}

ssize_t sendto(int descriptor, const void *data, size_t length, int flags,
               const struct sockaddr *address, socklen_t size)
{
    struct sockaddr_in6 copy;
    sendto_function *next = (sendto_function *)dlsym(RTLD_NEXT, "sendto");
    if (moved(address, size, &copy))
        return next(descriptor, data, length, flags, (const struct sockaddr *)&copy, sizeof copy);
    return next(descriptor, data, length, flags, address, size);
}
