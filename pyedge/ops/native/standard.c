// Weight standardization: its work shared out by rows, sums added up in a fixed order. See train.h.
#include "table.h"
#include "train.h"

#define PARTS 64

typedef struct {
    const train_standard *standard;
    int parts;
} standard_job;

static int part(const standard_job *d, int item) {
    return (int)((int64_t)d->standard->rows * item / d->parts);
}

static standard_job work_of(const train_standard *job) {
    const int parts = (job->rows + 31) / 32;
    const standard_job work = {job, parts < PARTS ? parts : PARTS};
    return work;
}

size_t train_standard_scratch(int columns) { return 2 * ((size_t)PARTS + 1) * (size_t)columns; }

static float *sums_of(const standard_job *d, int item) {
    return d->standard->scratch + 2 * (size_t)item * (size_t)d->standard->columns;
}

static void moments_part(const void *job, int item, int thread) {
    (void)thread;
    const standard_job *d = job;
    train_chosen()->moments(d->standard, part(d, item), part(d, item + 1), sums_of(d, item));
}

static void out_part(const void *job, int item, int thread) {
    (void)thread;
    const standard_job *d = job;
    train_chosen()->standard_out(d->standard, part(d, item), part(d, item + 1));
}

static void sums_part(const void *job, int item, int thread) {
    (void)thread;
    const standard_job *d = job;
    train_chosen()->standard_sums(d->standard, part(d, item), part(d, item + 1), sums_of(d, item));
}

static void gradient_part(const void *job, int item, int thread) {
    (void)thread;
    const standard_job *d = job;
    train_chosen()->standard_gradient(d->standard, part(d, item), part(d, item + 1), sums_of(d, d->parts));
}

void train_standardize_run(train_pool *pool, const train_standard *job) {
    const standard_job work = work_of(job);
    train_pool_run(pool, moments_part, &work, work.parts);
    const size_t columns = (size_t)job->columns;
    for (size_t c = 0; c < columns; c++) {
        // Means and squares of two sets of rows together (Chan, Golub and LeVeque, 1979).
        double count = 0, mean = 0, squares = 0;
        for (int p = 0; p < work.parts; p++) {
            const double more = part(&work, p + 1) - part(&work, p), all = count + more;
            const double distance = (double)sums_of(&work, p)[c] - mean;
            squares += (double)sums_of(&work, p)[columns + c] + distance * distance * count * more / all;
            mean += distance * more / all;
            count = all;
        }
        job->mean[c] = (float)mean;
        const double variance = squares / (count > 1 ? count - 1 : 1) + (double)job->eps;
        job->deviation[c] = __builtin_sqrtf((float)variance);
    }
    train_pool_run(pool, out_part, &work, work.parts);
}

void train_standardize_error_run(train_pool *pool, const train_standard *job) {
    const standard_job work = work_of(job);
    train_pool_run(pool, sums_part, &work, work.parts);
    const size_t columns = (size_t)job->columns;
    float *factors = sums_of(&work, work.parts);
    const float rows = (float)job->rows, others = (float)(job->rows > 1 ? job->rows - 1 : 1);
    for (size_t c = 0; c < columns; c++) {
        float error = 0, along = 0;
        for (int p = 0; p < work.parts; p++) {
            error += sums_of(&work, p)[c];
            along += sums_of(&work, p)[columns + c];
        }
        job->gain_gradient[c] = along;
        factors[c] = error / rows;
        factors[columns + c] = along / others;
    }
    train_pool_run(pool, gradient_part, &work, work.parts);
}
