/* A bare epoll responder: reads a request head, answers a fixed 204, and knows nothing else.  It is
 * the floor that the server's own check is measured against.  Prints its port; ends when stdin
 * closes. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char reply[] = "HTTP/1.1 204 No Content\r\n\r\n";

/* Answer every request head in the bytes; heads never straddle reads in this bench. */
static int answer(int fd)
{
    char in[16384];
    ssize_t got = read(fd, in, sizeof(in));
    if (got <= 0)
        return -1;
    const char *at = in, *end = in + got;
    while ((at = memmem(at, (size_t)(end - at), "\r\n\r\n", 4)) != NULL) {
        if (write(fd, reply, sizeof(reply) - 1) != (ssize_t)sizeof(reply) - 1)
            return -1;
        at += 4;
    }
    return 0;
}

int main(void)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), poll = epoll_create1(0),
        one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(address);
    if (listener < 0 || poll < 0 || bind(listener, (struct sockaddr *)&address, len) != 0 ||
        listen(listener, 4096) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) != 0)
        return 1;
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    struct epoll_event add = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &add);
    add.data.fd = STDIN_FILENO;
    epoll_ctl(poll, EPOLL_CTL_ADD, STDIN_FILENO, &add);
    for (;;) {
        struct epoll_event ready[256];
        int count = epoll_wait(poll, ready, 256, -1);
        for (int i = 0; i < count; i++) {
            int fd = ready[i].data.fd;
            if (fd == STDIN_FILENO)
                return 0;
            if (fd == listener) {
                int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (client < 0)
                    continue;
                setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
                add.data.fd = client;
                epoll_ctl(poll, EPOLL_CTL_ADD, client, &add);
            } else if (answer(fd) != 0) {
                close(fd);
            }
        }
    }
}
