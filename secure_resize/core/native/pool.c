/* A pool of threads, made when first asked for, made anew in a forked child.
 *
 * One job runs at a time. A caller that finds the pool busy does its work alone: data loaders parallelise outside, and
 * nobody ever waits for somebody else's image. Waking a sleeping thread takes as long as resizing a small image, so
 * workers look out for the next job for SPIN_NANOSECONDS before they sleep, and a caller that has run out of tasks as
 * long for the last of the workers. Neither does so on the processor that the other one needs: a system often wakes a
 * thread where the one ran that woke it, so a worker that finds itself there moves to another processor before it joins.
 * Workers end with the process.
 */
#define _GNU_SOURCE /* sched_getcpu */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#include "native.h"

enum { MAX_WORKERS = 1023, SPIN_NANOSECONDS = 50000, PAUSES = 16 /* between two looks at the clock */ };

/* `state` is all that workers and callers agree by: how many workers may still join the job, how many have joined and
 * not left, whether one of them runs on the caller's processor, and whether the caller sleeps until the last of them
 * leaves. Whoever has joined may read `job`, which its caller writes while nobody can join and leaves alone until
 * everybody has left. */
enum { SEATS = 0xfff, JOINED = 1 << 12, ALL_JOINED = 0xfff << 12, SAME_PROCESSOR = 1 << 24, CALLER_SLEEPS = 1 << 25 };

typedef struct {
    void (*task)(void* context, int64_t index, int worker);
    void* context;
    int64_t tasks;
    int processor; /* the caller's when it began */
} Job;

static _Alignas(ALIGNMENT) atomic_int state;
static _Alignas(ALIGNMENT) atomic_llong next_task; /* the first that nobody has taken */
static _Alignas(ALIGNMENT) Job job;
static atomic_bool busy;    /* somebody's job has the pool */
static atomic_int sleepers; /* workers that need waking; changed under the mutex */
static atomic_int caller;   /* the processor that the last job's caller was on */
static int workers;         /* threads there are; changed by whoever has the pool */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER; /* there is a seat */
static pthread_cond_t done = PTHREAD_COND_INITIALIZER; /* nobody is left in the job */
static pthread_once_t fork_handler = PTHREAD_ONCE_INIT;

/* A fork leaves the child with whatever another thread was doing to the above, and without the workers. */
static void reset_in_child(void) {
    pthread_mutex_t fresh_mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t fresh_cond = PTHREAD_COND_INITIALIZER;
    mutex = fresh_mutex;
    wake = fresh_cond;
    done = fresh_cond;
    atomic_store(&state, 0);
    atomic_store(&sleepers, 0);
    atomic_store(&busy, false);
    workers = 0;
}

static void install_fork_handler(void) { (void)pthread_atfork(NULL, NULL, reset_in_child); }

static int processor(void) {
#ifdef __linux__
    return sched_getcpu();
#else
    return -1;
#endif
}

/* Off the processor `from`, where there is another that this thread may run on, and free to return there later. */
static void move_away(int from) {
#ifdef __linux__
    cpu_set_t allowed, others;
    if (from < 0 || sched_getcpu() != from || sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    others = allowed;
    CPU_CLR(from, &others);
    if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof others, &others) != 0) return;
    sched_setaffinity(0, sizeof allowed, &allowed);
#else
    (void)from;
#endif
}

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

static int64_t nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool has_seats(int seen) { return (seen & SEATS) != 0; }
static bool is_empty(int seen) { return (seen & ALL_JOINED) == 0; }

/* Look at the state until it is as wanted, but not for long. */
static bool spin_until(bool (*wanted)(int seen)) {
    int64_t end = nanoseconds() + SPIN_NANOSECONDS;
    do {
        for (int i = 0; i < PAUSES; i++) {
            if (wanted(atomic_load_explicit(&state, memory_order_acquire))) return true;
            relax();
        }
    } while (nanoseconds() < end);
    return false;
}

static void work(int self) {
    int64_t index;
    while ((index = atomic_fetch_add_explicit(&next_task, 1, memory_order_relaxed)) < job.tasks) {
        job.task(job.context, index, self);
    }
}

/* The number of the worker that the caller becomes, or 0 if there is no seat. */
static int join(void) {
    int seen = atomic_load(&state);
    while (has_seats(seen)) {
        if (atomic_compare_exchange_weak(&state, &seen, seen - 1 + JOINED)) return seen & SEATS;
    }
    return 0;
}

/* There is no task left, so nobody else need join. */
static void leave(void) {
    int seen = atomic_load(&state);
    while (!atomic_compare_exchange_weak(&state, &seen, (seen & ~SEATS) - JOINED)) continue;
    if ((seen & CALLER_SLEEPS) != 0 && is_empty(seen - JOINED)) {
        pthread_mutex_lock(&mutex);
        pthread_cond_signal(&done);
        pthread_mutex_unlock(&mutex);
    }
}

static void sleep_until_woken(void) {
    pthread_mutex_lock(&mutex);
    atomic_fetch_add(&sleepers, 1); /* before the look at the state; the caller does these two the other way round */
    while (!has_seats(atomic_load(&state))) pthread_cond_wait(&wake, &mutex);
    atomic_fetch_sub(&sleepers, 1);
    pthread_mutex_unlock(&mutex);
}

static void* worker_main(void* unused) {
    (void)unused;
    bool spin = true;
    for (;;) {
        if (!spin || !spin_until(has_seats)) sleep_until_woken();
        move_away(atomic_load_explicit(&caller, memory_order_relaxed));
        int number = join();
        spin = number != 0 && (job.processor < 0 || processor() != job.processor);
        if (number == 0) continue; /* more workers look out than are needed */
        if (!spin) atomic_fetch_or(&state, SAME_PROCESSOR);
        work(number);
        leave();
    }
    return NULL;
}

/* Make up for missing workers; fewer than asked for is slower, not wrong. Called by who has the pool. */
static void add_workers(int count) {
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    while (workers < count) {
        pthread_t thread;
        if (pthread_create(&thread, &attributes, worker_main, NULL) != 0) break;
        workers++;
    }
    pthread_attr_destroy(&attributes);
}

/* Open the job to `seats` workers. Those that do not sleep will see it by themselves. */
static void open_job(int seats) {
    atomic_store(&state, seats);
    int asleep = atomic_load(&sleepers), missing = seats - (workers - asleep);
    if (missing <= 0) return;
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < missing; i++) pthread_cond_signal(&wake);
    pthread_mutex_unlock(&mutex);
}

/* Let nobody join any more and wait for those that have. */
static void close_job(void) {
    int seen = atomic_fetch_and(&state, ~SEATS);
    if (is_empty(seen) || ((seen & SAME_PROCESSOR) == 0 && spin_until(is_empty))) return;
    pthread_mutex_lock(&mutex);
    atomic_fetch_or(&state, CALLER_SLEEPS);
    while (!is_empty(atomic_load(&state))) pthread_cond_wait(&done, &mutex);
    pthread_mutex_unlock(&mutex);
}

void pool_run(void (*task)(void*, int64_t, int), void* context, int64_t tasks, int num_threads) {
    int helpers = num_threads - 1;
    if (helpers > MAX_WORKERS) helpers = MAX_WORKERS;
    if (helpers > tasks - 1) helpers = (int)(tasks - 1);
    if (helpers > 0) pthread_once(&fork_handler, install_fork_handler);
    if (helpers <= 0 || atomic_exchange(&busy, true)) {
        for (int64_t index = 0; index < tasks; index++) task(context, index, 0);
        return;
    }
    add_workers(helpers);
    job = (Job){task, context, tasks, processor()};
    atomic_store(&next_task, 0);
    atomic_store_explicit(&caller, job.processor, memory_order_relaxed);
    open_job(helpers < workers ? helpers : workers);
    work(0);
    close_job();
    atomic_store(&busy, false);
}
