// A few threads that share out numbered items of work; which thread does which item changes no result.
#ifndef TRAIN_POOL_H
#define TRAIN_POOL_H

#include <pthread.h>
#include <stdint.h>

#define TRAIN_THREADS 64

// One item of work. Items write to disjoint memory. thread: in [0, threads), for scratch memory of its own.
typedef void (*train_work)(const void *job, int item, int thread);

// The caller owns the memory, and keeps it where it is while the threads run.
typedef struct train_pool {
    int threads;  // the calling one included
    pthread_t thread[TRAIN_THREADS];
    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    uint32_t round;  // of work given out; read without the lock, while a thread waits a moment for the next
    int idle, stop;
    train_work work;
    const void *job;
    int items, next;
} train_pool;

// Starts threads - 1 threads, 1 <= threads <= TRAIN_THREADS. Fewer start where the system has no more.
// Returns the number of threads there are.
int train_pool_start(train_pool *pool, int threads);

// Ends the threads; no work may be going on.
void train_pool_stop(train_pool *pool);

// Does items 0 .. items - 1 and returns when all are done. One caller at a time.
void train_pool_run(train_pool *pool, train_work work, const void *job, int items);

#endif
