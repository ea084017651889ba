/* A clock that runs at another speed, for the one process that this is preloaded into (LD_PRELOAD), and its children.
 *
 * The file that SOAK_CLOCK names holds four doubles: how many times as fast; the monotonic time and the wall clock when
 * it began, both real; and a step of the wall clock, in seconds, which may be changed at any time. All processes that
 * share the file agree on both clocks at every moment. Deadlines and pauses are given to the kernel in real time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct clock { double speed, began_monotonic, began_wall, step; };

static volatile struct clock *clock_file;
static int (*real_clock_gettime)(clockid_t, struct timespec *);

static void *next(const char *name) { return dlsym(RTLD_NEXT, name); }

__attribute__((constructor)) static void open_clock(void) {
    if (real_clock_gettime) return;
    real_clock_gettime = next("clock_gettime");
    const char *path = getenv("SOAK_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *memory = mmap(NULL, sizeof(struct clock), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (memory != MAP_FAILED) clock_file = memory;
}

static double speed(void) { open_clock(); return clock_file ? clock_file->speed : 1.0; }
static double seconds(const struct timespec *t) { return (double)t->tv_sec + (double)t->tv_nsec / 1e9; }

static struct timespec timespec(double s) {
    if (s < 0) s = 0;
    struct timespec t = {(time_t)s, 0};
    t.tv_nsec = (long)((s - (double)t.tv_sec) * 1e9);
    return t;
}

static struct timespec shorter(const struct timespec *t) { return timespec(seconds(t) / speed()); }

static int counts_from_boot(clockid_t clock) {
    return clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_RAW || clock == CLOCK_MONOTONIC_COARSE || clock == CLOCK_BOOTTIME;
}

static int tells_the_date(clockid_t clock) { return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE; }

int clock_gettime(clockid_t clock, struct timespec *t) {
    open_clock();
    if (!clock_file || !(counts_from_boot(clock) || tells_the_date(clock))) return real_clock_gettime(clock, t);
    struct timespec now;
    real_clock_gettime(CLOCK_MONOTONIC, &now);
    if (counts_from_boot(clock))
        *t = timespec(seconds(&now) * clock_file->speed);
    else
        *t = timespec(clock_file->began_wall + clock_file->step +
                      (seconds(&now) - clock_file->began_monotonic) * clock_file->speed);
    return 0;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone) {
    (void)zone;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    t->tv_sec = now.tv_sec;
    t->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *t) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (t) *t = now.tv_sec;
    return now.tv_sec;
}

/* The real deadline of one on the clock as it is shown; those of the date go by what is left until then. */
static struct timespec real_deadline(clockid_t clock, const struct timespec *shown) {
    open_clock();
    if (!clock_file) return *shown;
    if (counts_from_boot(clock)) return timespec(seconds(shown) / clock_file->speed);
    struct timespec now, real;
    clock_gettime(clock, &now);
    real_clock_gettime(clock, &real);
    return timespec(seconds(&real) + (seconds(shown) - seconds(&now)) / clock_file->speed);
}

/* A deadline says not what it is by; nobody's computer has been on for thirty years, nor was it 1970 just now. */
static clockid_t clock_of(const struct timespec *shown) {
    return shown->tv_sec < 1000000000 ? CLOCK_MONOTONIC : CLOCK_REALTIME;
}

int nanosleep(const struct timespec *t, struct timespec *left) {
    static int (*real)(const struct timespec *, struct timespec *);
    if (!real) real = next("nanosleep");
    struct timespec sooner = shorter(t);
    int result = real(&sooner, left);
    if (result && left) *left = timespec(seconds(left) * speed());
    return result;
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *t, struct timespec *left) {
    static int (*real)(clockid_t, int, const struct timespec *, struct timespec *);
    if (!real) real = next("clock_nanosleep");
    struct timespec sooner = flags & TIMER_ABSTIME ? real_deadline(clock, t) : shorter(t);
    int result = real(clock, flags, &sooner, left);
    if (result && left && !(flags & TIMER_ABSTIME)) *left = timespec(seconds(left) * speed());
    return result;
}

int usleep(useconds_t microseconds) {
    struct timespec t = timespec(microseconds / 1e6);
    return nanosleep(&t, NULL);
}

unsigned sleep(unsigned count) {
    struct timespec t = timespec(count), left = {0, 0};
    return nanosleep(&t, &left) ? (unsigned)left.tv_sec : 0;
}

int ppoll(struct pollfd *files, nfds_t count, const struct timespec *t, const sigset_t *signals) {
    static int (*real)(struct pollfd *, nfds_t, const struct timespec *, const sigset_t *);
    if (!real) real = next("ppoll");
    struct timespec sooner;
    if (t) sooner = shorter(t);
    return real(files, count, t ? &sooner : NULL, signals);
}

int poll(struct pollfd *files, nfds_t count, int milliseconds) {
    struct timespec t = timespec(milliseconds / 1e3);
    return ppoll(files, count, milliseconds < 0 ? NULL : &t, NULL);
}

int pselect(int count, fd_set *r, fd_set *w, fd_set *x, const struct timespec *t, const sigset_t *signals) {
    static int (*real)(int, fd_set *, fd_set *, fd_set *, const struct timespec *, const sigset_t *);
    if (!real) real = next("pselect");
    struct timespec sooner;
    if (t) sooner = shorter(t);
    return real(count, r, w, x, t ? &sooner : NULL, signals);
}

int select(int count, fd_set *r, fd_set *w, fd_set *x, struct timeval *t) {
    struct timespec longer;
    if (t) longer = timespec((double)t->tv_sec + (double)t->tv_usec / 1e6);
    return pselect(count, r, w, x, t ? &longer : NULL, NULL);
}

static int fewer(int milliseconds) {
    return milliseconds <= 0 ? milliseconds : (int)(milliseconds / speed()) + 1;
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int milliseconds) {
    static int (*real)(int, struct epoll_event *, int, int);
    if (!real) real = next("epoll_wait");
    return real(epoll, events, most, fewer(milliseconds));
}

int epoll_pwait(int epoll, struct epoll_event *events, int most, int milliseconds, const sigset_t *signals) {
    static int (*real)(int, struct epoll_event *, int, int, const sigset_t *);
    if (!real) real = next("epoll_pwait");
    return real(epoll, events, most, fewer(milliseconds), signals);
}

int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *t) {
    static int (*real)(sem_t *, clockid_t, const struct timespec *);
    if (!real) real = next("sem_clockwait");
    struct timespec deadline = real_deadline(clock, t);
    return real(semaphore, clock, &deadline);
}

int sem_timedwait(sem_t *semaphore, const struct timespec *t) {
    static int (*real)(sem_t *, const struct timespec *);
    if (!real) real = next("sem_timedwait");
    struct timespec deadline = real_deadline(CLOCK_REALTIME, t);
    return real(semaphore, &deadline);
}

int pthread_cond_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock, const struct timespec *t) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, clockid_t, const struct timespec *);
    if (!real) real = next("pthread_cond_clockwait");
    struct timespec deadline = real_deadline(clock, t);
    return real(condition, mutex, clock, &deadline);
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *t) {
    static int (*real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!real) real = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2"); /* not the one of 1999 */
    if (!real) real = next("pthread_cond_timedwait");
    struct timespec deadline = real_deadline(clock_of(t), t);
    return real(condition, mutex, &deadline);
}
