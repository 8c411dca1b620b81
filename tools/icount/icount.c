// QEMU TCG plugin: exact counts of executed instructions, loads and stores, by region and by function.
// SPDX-License-Identifier: Apache-2.0
//
// The guest calls marker functions; the plugin counts between them. Arguments (addresses in hex):
//   out=PATH                the report; one is needed
//   mark=NAME@ADDRESS       executing ADDRESS begins region NAME (repeatable)
//   end=ADDRESS             executing ADDRESS ends the region
//   part=NAME@ADDRESS       executing ADDRESS in a region begins its next part NAME (repeatable)
//   functions=PATH          lines "address size name", as nm -S prints them without the type
// Report, one line each: "region NAME instructions loads stores", then the functions that ran in it,
// "function NAME instructions loads stores", then its parts in their order, "part NAME instructions loads stores", the first
// called "start". One processor only. A marker's own instructions are counted too:
// measure an empty region and subtract it.
//
// QEMU's plugin API, version 1, declared here: distributions ship qemu-plugin.h rarely.
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef void (*translate_t)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*execute_t)(unsigned int, void *);
typedef void (*memory_t)(unsigned int, qemu_plugin_meminfo_t, uint64_t, void *);

enum { INLINE_ADD_U64 = 0, NO_REGISTERS = 0, READ_AND_WRITE = 3 };

extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, translate_t callback);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn, execute_t callback,
                                                   int flags, void *data);
extern void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int operation,
                                                       void *counter, uint64_t amount);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn, memory_t callback, int flags,
                                             int which, void *data);
extern bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t info);
extern void qemu_plugin_outs(const char *text);

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv);

enum { MAX_FUNCTIONS = 1024, MAX_MARKS = 16, NAME = 64 };

typedef struct {
    uint64_t instructions, loads, stores;
} counts_t;

typedef struct {
    char name[NAME];
    uint64_t first, end;
    counts_t now, before;
} function_t;

typedef struct {
    char name[NAME];
    uint64_t address;
} mark_t;

static function_t functions[MAX_FUNCTIONS];
static size_t function_count;
static mark_t marks[MAX_MARKS];
static size_t mark_count;
static mark_t parts[MAX_MARKS];
static size_t part_count;
static uint64_t end_address;
static FILE *part_lines;  // of the region that is open
static const char *part_name;
static counts_t part_start;
static function_t elsewhere = {.name = "-"};  // code that nm gives no size for
static const mark_t *open_region;
static FILE *report;

static counts_t difference(counts_t a, counts_t b) {
    return (counts_t){a.instructions - b.instructions, a.loads - b.loads, a.stores - b.stores};
}

static void print(const char *kind, const char *name, counts_t c) {
    fprintf(report, "%s %s %llu %llu %llu\n", kind, name, (unsigned long long)c.instructions,
            (unsigned long long)c.loads, (unsigned long long)c.stores);
}

static counts_t total(void) {
    counts_t sum = elsewhere.now;
    for (size_t k = 0; k < function_count; k++) {
        sum.instructions += functions[k].now.instructions;
        sum.loads += functions[k].now.loads;
        sum.stores += functions[k].now.stores;
    }
    return sum;
}

static void end_part(const char *next) {
    const counts_t now = total(), d = difference(now, part_start);
    if (part_count > 0)
        fprintf(part_lines, "part %s %llu %llu %llu\n", part_name, (unsigned long long)d.instructions,
                (unsigned long long)d.loads, (unsigned long long)d.stores);
    part_name = next;
    part_start = now;
}

static void on_part(unsigned int cpu, void *data) {
    (void)cpu;
    if (open_region != NULL) end_part(((const mark_t *)data)->name);
}

static void copy_parts(void) {
    int byte;
    rewind(part_lines);
    while ((byte = getc(part_lines)) != EOF) putc(byte, report);
    fclose(part_lines);
    part_lines = NULL;
}

static void on_mark(unsigned int cpu, void *data) {
    (void)cpu;
    open_region = data;
    part_name = "start";
    part_start = total();
    if (part_count > 0) part_lines = tmpfile();
    for (size_t k = 0; k < function_count; k++) functions[k].before = functions[k].now;
    elsewhere.before = elsewhere.now;
}

static void on_end(unsigned int cpu, void *data) {
    (void)cpu;
    (void)data;
    if (open_region == NULL) return;
    end_part("");
    counts_t sum = difference(elsewhere.now, elsewhere.before);
    for (size_t k = 0; k < function_count; k++) {
        counts_t d = difference(functions[k].now, functions[k].before);
        sum.instructions += d.instructions;
        sum.loads += d.loads;
        sum.stores += d.stores;
    }
    print("region", open_region->name, sum);
    for (size_t k = 0; k < function_count; k++) {
        counts_t d = difference(functions[k].now, functions[k].before);
        if (d.instructions > 0) print("function", functions[k].name, d);
    }
    counts_t d = difference(elsewhere.now, elsewhere.before);
    if (d.instructions > 0) print("function", elsewhere.name, d);
    if (part_count > 0) copy_parts();
    fflush(report);
    open_region = NULL;
}

// The inline form of this callback miscounts reads and writes in QEMU 7.2.
static void on_memory(unsigned int cpu, qemu_plugin_meminfo_t info, uint64_t address, void *data) {
    (void)cpu;
    (void)address;
    function_t *f = data;
    if (qemu_plugin_mem_is_store(info))
        f->now.stores++;
    else
        f->now.loads++;
}

static function_t *find(uint64_t address) {
    for (size_t k = 0; k < function_count; k++)
        if (address >= functions[k].first && address < functions[k].end) return &functions[k];
    return &elsewhere;
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
    (void)id;
    size_t n = qemu_plugin_tb_n_insns(block);
    for (size_t k = 0; k < n; k++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, k);
        uint64_t address = qemu_plugin_insn_vaddr(insn);
        for (size_t m = 0; m < mark_count; m++)
            if (address == marks[m].address)
                qemu_plugin_register_vcpu_insn_exec_cb(insn, on_mark, NO_REGISTERS, &marks[m]);
        for (size_t m = 0; m < part_count; m++)
            if (address == parts[m].address)
                qemu_plugin_register_vcpu_insn_exec_cb(insn, on_part, NO_REGISTERS, &parts[m]);
        if (address == end_address) qemu_plugin_register_vcpu_insn_exec_cb(insn, on_end, NO_REGISTERS, NULL);
        function_t *f = find(address);
        qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD_U64, &f->now.instructions, 1);
        qemu_plugin_register_vcpu_mem_cb(insn, on_memory, NO_REGISTERS, READ_AND_WRITE, f);
    }
}

static bool read_functions(const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) return false;
    unsigned long long address, size;
    while (function_count < MAX_FUNCTIONS &&
           fscanf(file, "%llx %llx %63s", &address, &size, functions[function_count].name) == 3) {
        functions[function_count].first = address & ~1ull;
        functions[function_count].end = (address & ~1ull) + size;
        function_count++;
    }
    bool whole = feof(file) != 0;
    fclose(file);
    return whole;
}

static bool read_mark(const char *text, mark_t *mark) {
    const char *at = strchr(text, '@');
    if (at == NULL || (size_t)(at - text) >= NAME) return false;
    memcpy(mark->name, text, (size_t)(at - text));
    mark->address = strtoull(at + 1, NULL, 16) & ~1ull;
    return true;
}

static bool read_argument(const char *text) {
    if (strncmp(text, "out=", 4) == 0) {
        report = fopen(text + 4, "w");
        return report != NULL;
    }
    if (strncmp(text, "functions=", 10) == 0) return read_functions(text + 10);
    if (strncmp(text, "end=", 4) == 0) {
        end_address = strtoull(text + 4, NULL, 16) & ~1ull;
        return true;
    }
    if (strncmp(text, "mark=", 5) == 0 && mark_count < MAX_MARKS)
        return read_mark(text + 5, &marks[mark_count++]);
    if (strncmp(text, "part=", 5) == 0 && part_count < MAX_MARKS)
        return read_mark(text + 5, &parts[part_count++]);
    return false;
}

int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
    (void)info;
    for (int k = 0; k < argc; k++) {
        if (!read_argument(argv[k])) {
            qemu_plugin_outs("icount: cannot use an argument\n");
            return -1;
        }
    }
    if (report == NULL) return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    return 0;
}
