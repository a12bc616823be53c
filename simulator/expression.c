/*
 * Numbers as expressions of time. Each evaluation parses the text, by recursive descent: profiles are small. Only
 * integrals are kept, since they need their argument at many times: a fifth of what reading an H100 takes otherwise.
 */
#include "expression.h"

#include "abi.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_LIMIT 60      /* of parentheses, and of names that use names */
#define STEP_LIMIT 200000   /* for integrals of integrals */
#define ARGUMENTS 8
#define NAME_SIZE 64

struct evaluation {
    const struct profile *profile;
    int unit;
    double t;
    double scope;
    const char *at;
    int depth;
    unsigned int steps;
    int outcome;
    const char *fault;
};

static double sum(struct evaluation *e);

static double fail(struct evaluation *e, const char *fault) {
    if (e->outcome == NVML_SUCCESS) {
        e->outcome = EXPRESSION_FAULT;
        e->fault = fault;
    }
    return 0;
}

static char next(struct evaluation *e) {
    while (*e->at == ' ' || *e->at == '\t')
        e->at++;
    return *e->at;
}

static bool accept(struct evaluation *e, char symbol) {
    if (next(e) != symbol)
        return false;
    e->at++;
    return true;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || is_digit(c) || c == '_' || c == '.';
}

static int hexadecimal_digit(char c) {
    if (is_digit(c))
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Not strtod: it depends on the locale of the program that loads the library, and accepts "nan". */
static double number(struct evaluation *e) {
    double value = 0;
    if (e->at[0] == '0' && e->at[1] == 'x') {
        e->at += 2;
        if (hexadecimal_digit(*e->at) < 0)
            return fail(e, "a hexadecimal number without digits");
        while (hexadecimal_digit(*e->at) >= 0)
            value = value * 16 + hexadecimal_digit(*e->at++);
        return value;
    }
    if (!is_digit(*e->at))
        return fail(e, "a number, a name or a parenthesis is missing");
    unsigned long long whole = 0; /* exact for numbers such as 2^63 */
    while (is_digit(*e->at) && whole <= (~0ULL - 9) / 10)
        whole = whole * 10 + (unsigned long long)(*e->at++ - '0');
    value = (double)whole;
    while (is_digit(*e->at))
        value = value * 10 + (*e->at++ - '0');
    if (*e->at == '.') {
        double unit = 1;
        for (e->at++; is_digit(*e->at); e->at++)
            value += (unit /= 10) * (*e->at - '0');
    }
    return value;
}

static double fraction(double position) {
    return position - floor(position);
}

/* Fills the table of an integral; false if its argument is wrong. */
static bool tabulate(struct evaluation *e, struct integral *table) {
    const struct evaluation now = *e;
    const double slice = table->period / INTEGRAL_SLICES;
    for (int i = 0; i <= INTEGRAL_SLICES && e->outcome == NVML_SUCCESS; i++) {
        e->t = EPOCH + i * slice;
        e->at = table->text;
        table->values[i] = sum(e);
        if (i > 0) {
            const double before = table->values[i - 1], after = table->values[i];
            table->whole += slice * (before + after) / 2;
            table->sums[i] = table->sums[i - 1] + slice * (before + (after - before) / 2);
        }
    }
    e->t = now.t;
    e->at = now.at;
    return e->outcome == NVML_SUCCESS;
}

/* The table of this argument, which is in the profile from the first evaluation on; NULL if the argument is wrong. */
static const struct integral *table_of(struct evaluation *e, const char *text, double period) {
    /* What is remembered of a profile is no part of what it says, which is constant. */
    struct profile *const profile = (struct profile *)(uintptr_t)e->profile;
    _Atomic(struct integral *) *const list =
        &profile->integrals[((uintptr_t)text + 31 * (uintptr_t)e->unit + (uintptr_t)e->scope) % INTEGRAL_LISTS];
    for (const struct integral *known = *list; known; known = known->next)
        if (known->text == text && known->unit == e->unit && known->scope == e->scope && known->period == period)
            return known;
    struct integral *table = calloc(1, sizeof *table);
    if (!table) {
        fail(e, "out of memory");
        return NULL;
    }
    *table = (struct integral){.text = text, .unit = e->unit, .scope = e->scope, .period = period};
    if (!tabulate(e, table)) {
        free(table);
        return NULL;
    }
    table->next = *list;
    while (!atomic_compare_exchange_weak(list, &table->next, table))
        continue;
    return table;
}

/* The time integral of `text` since the epoch, by the trapezoidal rule; `text` must have the period `period`, in s. */
static double integral(struct evaluation *e, const char *text, double period) {
    const struct integral *const table = table_of(e, text, period);
    if (!table)
        return 0;
    const double elapsed = e->t - EPOCH;
    const double cycles = floor(elapsed / period);
    const double slice = period / INTEGRAL_SLICES;
    const double left = (elapsed - cycles * period) / slice; /* slices of the present period */
    const int whole = (int)fmin(fmax(floor(left), 0), INTEGRAL_SLICES - 1);
    const double share = fmin(fmax(left - whole, 0), 1); /* of the present slice */
    const double before = table->values[whole], after = table->values[whole + 1];
    return cycles * table->whole + table->sums[whole] +
           slice * share * (before + share * (after - before) / 2);
}

static double function(struct evaluation *e, const char *name) {
    double a[ARGUMENTS] = {0};
    int n = 0;
    const char *const first = e->at;
    do {
        if (n == ARGUMENTS)
            return fail(e, "too many arguments");
        a[n++] = sum(e);
    } while (e->outcome == NVML_SUCCESS && accept(e, ','));
    if (e->outcome == NVML_SUCCESS && !accept(e, ')'))
        return fail(e, "a closing parenthesis is missing");
    if (e->outcome != NVML_SUCCESS)
        return 0;

    const bool periodic = !strcmp(name, "wave") || !strcmp(name, "ramp") || !strcmp(name, "step");
    if (periodic && (n == 3 || n == 4)) { /* (a, b, period[, phase]) */
        if (a[2] <= 0)
            return fail(e, "a period must be above zero");
        const double position = fraction((e->t + a[3]) / a[2]);
        if (*name == 'w')
            return a[0] + a[1] * sin(2 * 3.14159265358979323846 * position);
        if (*name == 'r')
            return a[0] + (a[1] - a[0]) * position;
        return position < 0.5 ? a[0] : a[1];
    }
    if (!strcmp(name, "integral") && n == 2)
        return a[1] > 0 ? integral(e, first, a[1]) : fail(e, "a period must be above zero");
    if (!strcmp(name, "counter") && n == 2)
        return a[0] + a[1] * (e->t - EPOCH);
    if (!strcmp(name, "clamp") && n == 3)
        return fmin(fmax(a[0], a[1]), a[2]);
    if (!strcmp(name, "floor") && n == 1)
        return floor(a[0]);
    if (!strcmp(name, "min") || !strcmp(name, "max")) {
        for (int i = 1; i < n; i++)
            a[0] = name[1] == 'i' ? fmin(a[0], a[i]) : fmax(a[0], a[i]);
        return a[0];
    }
    return fail(e, "no such function, or not so many arguments");
}

/* Another key of the same GPU: the number that its call returns, so it is rounded; its delay is not applied. */
static double variable(struct evaluation *e, const char *name) {
    if (!strcmp(name, "t"))
        return e->t;
    if (!strcmp(name, "index"))
        return profile_gpu(e->profile, e->unit);
    if (!strcmp(name, "scope"))
        return e->scope;
    const struct entry *entry = profile_find(e->profile, e->unit, name);
    if (!entry) {
        const enum key_kind kind = key_kind(name);
        if (kind != KEY_NUMBER || !strncmp(name, "var.", 4))
            return fail(e, kind == KEY_TEXT ? "that name is not a number" : "no such name");
        e->outcome = NVML_ERROR_NOT_SUPPORTED;
        return 0;
    }
    if (entry->kind != KEY_NUMBER)
        return fail(e, "that name is not a number");
    if (entry->hang || entry->error >= 0) {
        e->outcome = entry->hang ? NVML_ERROR_UNKNOWN : entry->error;
        return 0;
    }
    const char *const back = e->at;
    e->at = entry->value;
    const double value = sum(e);
    if (e->outcome == NVML_SUCCESS && next(e) != '\0')
        return fail(e, "something follows the expression");
    e->at = back;
    return strncmp(name, "var.", 4) ? round(value) : value;
}

static double guarded_primary(struct evaluation *e);

static double primary(struct evaluation *e) {
    if (accept(e, '-'))
        return -guarded_primary(e);
    if (accept(e, '(')) {
        const double value = sum(e);
        return accept(e, ')') || e->outcome != NVML_SUCCESS ? value : fail(e, "a closing parenthesis is missing");
    }
    if (!is_name(next(e)) || is_digit(*e->at))
        return number(e);
    char name[NAME_SIZE];
    size_t length = 0;
    while (is_name(*e->at)) {
        if (length == NAME_SIZE - 1)
            return fail(e, "a name is too long");
        name[length++] = *e->at++;
    }
    name[length] = '\0';
    return accept(e, '(') ? function(e, name) : variable(e, name);
}

/* The limits are checked here, since every recursion calls this. */
static double guarded_primary(struct evaluation *e) {
    if (e->outcome != NVML_SUCCESS)
        return 0;
    if (e->depth >= DEPTH_LIMIT)
        return fail(e, "nested too deeply, or a name uses itself");
    if (e->steps++ > STEP_LIMIT)
        return fail(e, "takes too long");
    e->depth++;
    const double value = primary(e);
    e->depth--;
    return value;
}

static double product(struct evaluation *e) {
    double value = guarded_primary(e);
    for (;;) {
        if (accept(e, '*'))
            value *= guarded_primary(e);
        else if (accept(e, '/'))
            value /= guarded_primary(e);
        else
            return value;
        if (e->outcome != NVML_SUCCESS)
            return 0;
    }
}

static double sum(struct evaluation *e) {
    double value = product(e);
    for (;;) {
        if (accept(e, '+'))
            value += product(e);
        else if (accept(e, '-'))
            value -= product(e);
        else
            return value;
        if (e->outcome != NVML_SUCCESS)
            return 0;
    }
}

int expression_evaluate(const struct profile *profile, int unit, const struct entry *entry, double t, double scope,
                        double *result, const char **fault) {
    struct evaluation e = {
        .profile = profile, .unit = unit, .t = t, .scope = scope, .at = entry->value, .outcome = NVML_SUCCESS};
    double value = sum(&e);
    if (e.outcome == NVML_SUCCESS && next(&e) != '\0')
        fail(&e, "something follows the expression");
    const bool fine =
        !strncmp(entry->key, "var.", 4) || !strncmp(entry->key, "field.", 6) || !strncmp(entry->key, "gpm.", 4);
    *result = fine ? value : round(value);
    *fault = e.fault;
    return e.outcome;
}
