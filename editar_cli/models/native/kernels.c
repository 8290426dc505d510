/* Kernels for decoding in bfloat16 on x86 processors with AVX-512 BF16.
 *
 * A step reads every weight, key and value once for a few rows, so its floor is the memory's speed.
 * Weights are int8 with a bfloat16 scale per output; 8 bits are exact in bfloat16, so a product is
 * vdpbf16ps into float32. All sums of a row are taken in one order, whatever other rows are there.
 *
 * No OpenMP pragmas: the threads are those of the OpenMP library that the caller has loaded, handed
 * over by editar_start, so that no second pool competes with it for the cores.
 */
#include <immintrin.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint16_t bf16;

#define INLINE static inline __attribute__((always_inline))
#define HEAD 64  /* channels of a head */
#define QUERIES 4  /* queries that share a pass over keys and values */
#define ROWS 4  /* rows that share a pass over weights */
#define OUTPUTS 4  /* outputs of one tile */

static void (*start_team)(void (*)(void *), void *, unsigned, unsigned);
static void (*team_barrier)(void);
static int (*thread_number)(void);
static int (*thread_count)(void);

/* GOMP_parallel, GOMP_barrier, omp_get_thread_num, omp_get_num_threads. */
void editar_start(void *parallel, void *barrier, void *number, void *count) {
    start_team = (void (*)(void (*)(void *), void *, unsigned, unsigned))parallel;
    team_barrier = (void (*)(void))barrier;
    thread_number = (int (*)(void))number;
    thread_count = (int (*)(void))count;
}

INLINE float to_float(bf16 x) {
    uint32_t bits = (uint32_t)x << 16;
    float y;
    memcpy(&y, &bits, 4);
    return y;
}

INLINE bf16 to_bf16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0;
    return (bf16)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

INLINE __m512 load_bf16(const bf16 *x) {
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)x)), 16));
}

INLINE void store_bf16(bf16 *x, __m512 y) {
    __m256bh half = _mm512_cvtneps_pbh(y);
    memcpy(x, &half, sizeof half);
}

INLINE __m512bh load_pairs(const void *x) {
    __m512i bits = _mm512_loadu_si512(x);
    return (__m512bh)bits;
}

/* Where a thread's share of `total` begins, in multiples of `unit`. */
INLINE long share(long total, long unit, int thread, int threads) {
    long units = (total + unit - 1) / unit;
    long at = units * thread / threads * unit;
    return at < total ? at : total;
}

/* 32 int8 -> 32 bfloat16, exactly. */
INLINE __m512bh widen(const int8_t *w) {
    __m512i low = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)w));
    __m512i high = _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(w + 16)));
    return _mm512_cvtne2ps_pbh(_mm512_cvtepi32_ps(high), _mm512_cvtepi32_ps(low));
}

/* sums[r * OUTPUTS + o] of `rows` rows (of `in` values) with OUTPUTS weight rows; `ahead` bytes on
 * lies what comes next. */
INLINE void tile(const int8_t *const w[OUTPUTS], const bf16 *x, const int rows, long in, long ahead,
                 float *sums) {
    __m512 sum[ROWS][OUTPUTS];
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < OUTPUTS; o++) sum[r][o] = _mm512_setzero_ps();
    for (long i = 0; i < in; i += 32) {
        __m512bh weights[OUTPUTS];
        for (int o = 0; o < OUTPUTS; o++) {
            weights[o] = widen(w[o] + i);
            if (!(i & 32)) _mm_prefetch((const char *)(w[o] + i + ahead), _MM_HINT_T0);
        }
        for (int r = 0; r < rows; r++) {
            __m512bh values = load_pairs(x + r * in + i);
            for (int o = 0; o < OUTPUTS; o++)
                sum[r][o] = _mm512_dpbf16_ps(sum[r][o], values, weights[o]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < OUTPUTS; o++) sums[r * OUTPUTS + o] = _mm512_reduce_add_ps(sum[r][o]);
}

static void tile_1(const int8_t *const w[], const bf16 *x, long in, long ahead, float *sums) {
    tile(w, x, 1, in, ahead, sums);
}
static void tile_2(const int8_t *const w[], const bf16 *x, long in, long ahead, float *sums) {
    tile(w, x, 2, in, ahead, sums);
}
static void tile_3(const int8_t *const w[], const bf16 *x, long in, long ahead, float *sums) {
    tile(w, x, 3, in, ahead, sums);
}
static void tile_4(const int8_t *const w[], const bf16 *x, long in, long ahead, float *sums) {
    tile(w, x, 4, in, ahead, sums);
}

/* As `tile`, for any number of rows: the weights of the later ones come from the cache. */
INLINE void products(const int8_t *const w[OUTPUTS], const bf16 *x, long rows, long in, long ahead,
                     float *sums) {
    for (long r = 0; r < rows; r += ROWS) {
        const bf16 *from = x + r * in;
        float *to = sums + r * OUTPUTS;
        switch (rows - r) {
            case 1: tile_1(w, from, in, ahead, to); break;
            case 2: tile_2(w, from, in, ahead, to); break;
            case 3: tile_3(w, from, in, ahead, to); break;
            default: tile_4(w, from, in, ahead, to);
        }
        ahead = 0;
    }
}

/* The weight rows from `o` on; past `stop` the last one again. */
INLINE void take(const int8_t *w, long in, long o, long stop, const int8_t *rows[OUTPUTS]) {
    for (int i = 0; i < OUTPUTS; i++) rows[i] = w + (o + i < stop ? o + i : stop - 1) * in;
}

/* (rows, in) bfloat16 x -> outputs [begin, stop) of (rows, ld) float32, times scale. */
static void product(const bf16 *x, const int8_t *w, const bf16 *scale, long rows, long in,
                    long begin, long stop, long ld, float *sums, float *y) {
    const int8_t *from[OUTPUTS];
    for (long o = begin; o < stop; o += OUTPUTS) {
        take(w, in, o, stop, from);
        products(from, x, rows, in, OUTPUTS * in, sums);
        for (int i = 0; i < OUTPUTS && o + i < stop; i++)
            for (long r = 0; r < rows; r++)
                y[r * ld + o + i] = sums[r * OUTPUTS + i] * to_float(scale[o + i]);
    }
}

/* Lane i of the result: the sum of x[i]. */
INLINE __m512 sum_each(const __m512 x[16]) {
    __m512 quads[4];
    for (int i = 0; i < 4; i++) {
        __m512 a = _mm512_add_ps(_mm512_unpacklo_ps(x[4 * i], x[4 * i + 1]),
                                 _mm512_unpackhi_ps(x[4 * i], x[4 * i + 1]));
        __m512 b = _mm512_add_ps(_mm512_unpacklo_ps(x[4 * i + 2], x[4 * i + 3]),
                                 _mm512_unpackhi_ps(x[4 * i + 2], x[4 * i + 3]));
        __m512d c = _mm512_castps_pd(a), d = _mm512_castps_pd(b);
        quads[i] = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(c, d)),
                                 _mm512_castpd_ps(_mm512_unpackhi_pd(c, d)));
    }
    __m512 low = _mm512_add_ps(_mm512_shuffle_f32x4(quads[0], quads[1], 0x88),
                               _mm512_shuffle_f32x4(quads[0], quads[1], 0xdd));
    __m512 high = _mm512_add_ps(_mm512_shuffle_f32x4(quads[2], quads[3], 0x88),
                                _mm512_shuffle_f32x4(quads[2], quads[3], 0xdd));
    return _mm512_add_ps(_mm512_shuffle_f32x4(low, high, 0x88),
                         _mm512_shuffle_f32x4(low, high, 0xdd));
}

/* e^x for x <= 0, to a few units of the last place; 0 below -87. */
INLINE __m512 exponential(__m512 x) {
    __mmask16 some = _mm512_cmp_ps_mask(x, _mm512_set1_ps(-87.0f), _CMP_GE_OQ);
    x = _mm512_maskz_mov_ps(some, x);
    __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 0);
    x = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    x = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), x);
    __m512 p = _mm512_set1_ps(1.9875691500e-4f);
    p = _mm512_fmadd_ps(p, x, _mm512_set1_ps(1.3981999507e-3f));
    p = _mm512_fmadd_ps(p, x, _mm512_set1_ps(8.3334519073e-3f));
    p = _mm512_fmadd_ps(p, x, _mm512_set1_ps(4.1665795894e-2f));
    p = _mm512_fmadd_ps(p, x, _mm512_set1_ps(1.6666665459e-1f));
    p = _mm512_fmadd_ps(p, x, _mm512_set1_ps(5.0000001201e-1f));
    p = _mm512_fmadd_ps(p, _mm512_mul_ps(x, x), _mm512_add_ps(x, _mm512_set1_ps(1.0f)));
    return _mm512_maskz_scalef_ps(some, p, n);
}

/* `queries` (at most QUERIES) of one head; K a multiple of 16; scores holds QUERIES * K floats. */
INLINE void attend(const bf16 *const q[], const bf16 *k, const bf16 *v, const float *const bias[],
                   bf16 *const y[], const int queries, long keys, float *scores) {
    const __m512 scale = _mm512_set1_ps(0.125f);
    __m512 most[QUERIES];
    for (int n = 0; n < queries; n++) most[n] = _mm512_set1_ps(-INFINITY);
    for (long at = 0; at < keys; at += 16) {
        const bf16 *rows = k + at * HEAD;
        for (int i = 0; i < 32; i++) _mm_prefetch((const char *)(rows + 2048 + i * 32), _MM_HINT_T0);
        for (int n = 0; n < queries; n++) {
            const __m512bh first = load_pairs(q[n]), second = load_pairs(q[n] + 32);
            __m512 sums[16];
            for (int i = 0; i < 16; i++) {
                sums[i] = _mm512_dpbf16_ps(_mm512_setzero_ps(), load_pairs(rows + i * HEAD), first);
                sums[i] = _mm512_dpbf16_ps(sums[i], load_pairs(rows + i * HEAD + 32), second);
            }
            __m512 s = _mm512_fmadd_ps(sum_each(sums), scale, _mm512_loadu_ps(bias[n] + at));
            most[n] = _mm512_max_ps(most[n], s);
            _mm512_storeu_ps(scores + n * keys + at, s);
        }
    }
    float total[QUERIES];
    for (int n = 0; n < queries; n++) {
        /* Weights take the place of the scores, in half the room. */
        float *row = scores + n * keys;
        const __m512 top = _mm512_set1_ps(_mm512_reduce_max_ps(most[n]));
        __m512 sum = _mm512_setzero_ps();
        for (long at = 0; at < keys; at += 16) {
            __m512 e = exponential(_mm512_sub_ps(_mm512_loadu_ps(row + at), top));
            __m256bh half = _mm512_cvtneps_pbh(e);
            memcpy((bf16 *)row + at, &half, sizeof half);
            sum = _mm512_add_ps(sum, load_bf16((bf16 *)row + at));
        }
        total[n] = _mm512_reduce_add_ps(sum);
    }
    __m512 mixed[QUERIES][4];
    for (int n = 0; n < queries; n++)
        for (int i = 0; i < 4; i++) mixed[n][i] = _mm512_setzero_ps();
    for (long at = 0; at < keys; at += 2) {
        const bf16 *rows = v + at * HEAD;
        for (int i = 0; i < 4; i++) _mm_prefetch((const char *)(rows + 2048 + i * 32), _MM_HINT_T0);
        __m512i a = _mm512_loadu_si512(rows), b = _mm512_loadu_si512(rows + 32);
        __m512i c = _mm512_loadu_si512(rows + 64), d = _mm512_loadu_si512(rows + 96);
        __m512bh pairs[4] = {
            (__m512bh)_mm512_unpacklo_epi16(a, c), (__m512bh)_mm512_unpackhi_epi16(a, c),
            (__m512bh)_mm512_unpacklo_epi16(b, d), (__m512bh)_mm512_unpackhi_epi16(b, d)};
        for (int n = 0; n < queries; n++) {
            int32_t both;
            memcpy(&both, (bf16 *)(scores + n * keys) + at, 4);
            __m512bh weights = (__m512bh)_mm512_set1_epi32(both);
            for (int i = 0; i < 4; i++) mixed[n][i] = _mm512_dpbf16_ps(mixed[n][i], weights, pairs[i]);
        }
    }
    for (int n = 0; n < queries; n++) {
        /* Unpacking has put channels 8 j + (0..3) into the even vectors, 8 j + (4..7) into the odd. */
        const __m512 one = _mm512_set1_ps(1.0f / total[n]);
        const __m512i first = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
        const __m512i second =
            _mm512_setr_epi32(8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
        for (int i = 0; i < 2; i++) {
            __m512 even = _mm512_mul_ps(mixed[n][2 * i], one);
            __m512 odd = _mm512_mul_ps(mixed[n][2 * i + 1], one);
            store_bf16(y[n] + 32 * i, _mm512_permutex2var_ps(even, first, odd));
            store_bf16(y[n] + 32 * i + 16, _mm512_permutex2var_ps(even, second, odd));
        }
    }
}

static void attend_1(const bf16 *const q[], const bf16 *k, const bf16 *v, const float *const bias[],
                     bf16 *const y[], long keys, float *scores) {
    attend(q, k, v, bias, y, 1, keys, scores);
}
static void attend_2(const bf16 *const q[], const bf16 *k, const bf16 *v, const float *const bias[],
                     bf16 *const y[], long keys, float *scores) {
    attend(q, k, v, bias, y, 2, keys, scores);
}
static void attend_3(const bf16 *const q[], const bf16 *k, const bf16 *v, const float *const bias[],
                     bf16 *const y[], long keys, float *scores) {
    attend(q, k, v, bias, y, 3, keys, scores);
}
static void attend_4(const bf16 *const q[], const bf16 *k, const bf16 *v, const float *const bias[],
                     bf16 *const y[], long keys, float *scores) {
    attend(q, k, v, bias, y, 4, keys, scores);
}

/* All queries of one picture and head. Strides are in elements. */
static void attend_all(const bf16 *q, long q_stride, const bf16 *k, const bf16 *v,
                       const float *bias, long bias_stride, bf16 *y, long y_stride, long queries,
                       long keys, float *scores) {
    for (long n = 0; n < queries; n += QUERIES) {
        const bf16 *from[QUERIES];
        const float *added[QUERIES];
        bf16 *to[QUERIES];
        for (int i = 0; i < QUERIES && n + i < queries; i++) {
            from[i] = q + (n + i) * q_stride;
            added[i] = bias + (n + i) * bias_stride;
            to[i] = y + (n + i) * y_stride;
        }
        switch (queries - n) {
            case 1: attend_1(from, k, v, added, to, keys, scores); break;
            case 2: attend_2(from, k, v, added, to, keys, scores); break;
            case 3: attend_3(from, k, v, added, to, keys, scores); break;
            default: attend_4(from, k, v, added, to, keys, scores);
        }
    }
}

static void *room(long bytes) {
    return aligned_alloc(64, (size_t)((bytes + 63) / 64 * 64));
}

/* ---- one linear layer ---- */

typedef struct {
    const bf16 *x;
    const int8_t *w;
    const bf16 *scale;
    bf16 *y;
    long rows, in, out;
    int failed;
} Linear;

static void linear_part(void *data) {
    Linear *l = data;
    int thread = thread_number(), threads = thread_count();
    long begin = share(l->out, 16, thread, threads), stop = share(l->out, 16, thread + 1, threads);
    float *sums = room(4 * l->rows * OUTPUTS);
    if (!sums) {
        l->failed = 1;
        return;
    }
    const int8_t *from[OUTPUTS];
    for (long o = begin; o < stop; o += OUTPUTS) {
        take(l->w, l->in, o, stop, from);
        products(from, l->x, l->rows, l->in, OUTPUTS * l->in, sums);
        for (int i = 0; i < OUTPUTS && o + i < stop; i++)
            for (long r = 0; r < l->rows; r++)
                l->y[r * l->out + o + i] =
                    to_bf16(sums[r * OUTPUTS + i] * to_float(l->scale[o + i]));
    }
    free(sums);
}

/* (rows, in) bfloat16 x, (out, in) int8 w, (out,) bfloat16 scale -> (rows, out) bfloat16 y; `in` a
 * multiple of 32. Returns 0, or 1 where memory ran out. */
int editar_linear(const bf16 *x, const int8_t *w, const bf16 *scale, bf16 *y, long rows, long in,
                  long out, int threads) {
    Linear l = {x, w, scale, y, rows, in, out, 0};
    start_team(linear_part, &l, (unsigned)threads, 0);
    return l.failed;
}

/* ---- attention ---- */

typedef struct {
    const bf16 *q, *k, *v;
    const float *bias;
    bf16 *y;
    long rows, heads, queries, keys;
    long q_row, q_head, q_query, k_row, k_head, v_row, v_head, bias_row, bias_query;
    int failed;
} Attention;

static void attention_part(void *data) {
    Attention *a = data;
    int thread = thread_number(), threads = thread_count();
    long total = a->rows * a->heads;
    float *scores = room(4 * QUERIES * a->keys);
    if (!scores) {
        a->failed = 1;
        return;
    }
    for (long i = share(total, 1, thread, threads); i < share(total, 1, thread + 1, threads); i++) {
        long row = i / a->heads, head = i % a->heads;
        attend_all(a->q + row * a->q_row + head * a->q_head, a->q_query,
                   a->k + row * a->k_row + head * a->k_head,
                   a->v + row * a->v_row + head * a->v_head, a->bias + row * a->bias_row,
                   a->bias_query, a->y + (row * a->queries * a->heads + head) * HEAD,
                   a->heads * HEAD, a->queries, a->keys, scores);
    }
    free(scores);
}

/* Heads of HEAD channels; y is (rows, queries, heads, HEAD); the nine strides, in elements, are
 * those of Attention. Returns 0, or 1 where memory ran out. */
int editar_attention(const bf16 *q, const bf16 *k, const bf16 *v, const float *bias, bf16 *y,
                     long rows, long heads, long queries, long keys, const long *strides,
                     int threads) {
    Attention a = {q, k, v, bias, y, rows, heads, queries, keys,
                   strides[0], strides[1], strides[2], strides[3], strides[4],
                   strides[5], strides[6], strides[7], strides[8], 0};
    start_team(attention_part, &a, (unsigned)threads, 0);
    return a.failed;
}

/* ---- all blocks of a transformer ---- */

typedef struct {
    const int8_t *qkv, *out, *gate_up, *down;
    const bf16 *qkv_scale, *out_scale, *gate_up_scale, *down_scale;
    const bf16 *attention_norm, *mlp_norm;
} Block;

typedef struct {
    const Block *blocks;
    long layers, dim, hidden, heads;
    float eps;
    /* (rows, queries, dim) in and out. */
    const bf16 *x;
    bf16 *y;
    long rows, queries;
    /* (queries, HEAD / 2, 2) of each row. */
    const float *turns;
    long turns_row;
    /* Of the first block and row; (positions, HEAD) of a head is contiguous. */
    bf16 *keys, *values;
    long layer_stride, row_stride, head_stride;
    /* (rows, queries): where new keys and values go. */
    const int64_t *places;
    const float *bias;
    long bias_row, bias_query;
    long visible;
    /* Shared: (rows * queries, ...) of dim floats, 3 dim floats, dim and hidden bfloat16. */
    float *state, *qkv;
    bf16 *mixed, *inner;
    int failed;
} Run;

/* RMSNorm of all rows. */
static void normalise(const float *x, const bf16 *weight, float eps, long rows, long dim, bf16 *y) {
    for (long r = 0; r < rows; r++) {
        const float *row = x + r * dim;
        __m512 sum = _mm512_setzero_ps();
        for (long i = 0; i < dim; i += 16) {
            __m512 value = _mm512_loadu_ps(row + i);
            sum = _mm512_fmadd_ps(value, value, sum);
        }
        const __m512 one = _mm512_set1_ps(1.0f / sqrtf(_mm512_reduce_add_ps(sum) / dim + eps));
        for (long i = 0; i < dim; i += 16)
            store_bf16(y + r * dim + i, _mm512_mul_ps(_mm512_mul_ps(_mm512_loadu_ps(row + i), one),
                                                      load_bf16(weight + i)));
    }
}

/* Turn adjacent pairs of HEAD channels. */
INLINE void rotate(const float *x, const float *turns, bf16 *y) {
    for (int i = 0; i < HEAD; i += 16) {
        __m512 pairs = _mm512_loadu_ps(x + i), turn = _mm512_loadu_ps(turns + i);
        __m512 across = _mm512_permute_ps(pairs, 0xb1);
        __m512 sine = _mm512_mul_ps(_mm512_movehdup_ps(turn), across);
        store_bf16(y + i, _mm512_fmaddsub_ps(_mm512_moveldup_ps(turn), pairs, sine));
    }
}

/* The heads [begin, stop) of one block: keys and values are kept, queries attend. */
static void heads_part(const Run *run, const Block *block, long layer, const bf16 *x, long begin,
                       long stop, float *sums, bf16 *turned, float *scores) {
    long count = run->rows * run->queries, dim = run->dim;
    for (int part = 0; part < 3; part++)
        product(x, block->qkv, block->qkv_scale, count, dim, part * dim + begin * HEAD,
                part * dim + stop * HEAD, 3 * dim, sums, run->qkv);
    for (long row = 0; row < run->rows; row++)
        for (long head = begin; head < stop; head++) {
            long at = layer * run->layer_stride + row * run->row_stride + head * run->head_stride;
            for (long n = 0; n < run->queries; n++) {
                long position = row * run->queries + n;
                long place = at + run->places[position] * HEAD;
                const float *from = run->qkv + position * 3 * dim + head * HEAD;
                const float *turns = run->turns + row * run->turns_row + n * HEAD;
                rotate(from, turns, turned + n * HEAD);
                rotate(from + dim, turns, run->keys + place);
                for (int i = 0; i < HEAD; i += 16)
                    store_bf16(run->values + place + i, _mm512_loadu_ps(from + 2 * dim + i));
            }
            attend_all(turned, HEAD, run->keys + at, run->values + at,
                       run->bias + row * run->bias_row, run->bias_query,
                       run->mixed + row * run->queries * dim + head * HEAD, dim, run->queries,
                       run->visible, scores);
        }
}

/* The outputs [begin, stop) of a layer are added to the state. */
static void add_product(const bf16 *x, const int8_t *w, const bf16 *scale, long rows, long in,
                        long begin, long stop, long dim, float *sums, float *state) {
    const int8_t *from[OUTPUTS];
    for (long o = begin; o < stop; o += OUTPUTS) {
        take(w, in, o, stop, from);
        products(from, x, rows, in, OUTPUTS * in, sums);
        for (int i = 0; i < OUTPUTS && o + i < stop; i++)
            for (long r = 0; r < rows; r++)
                state[r * dim + o + i] += sums[r * OUTPUTS + i] * to_float(scale[o + i]);
    }
}

/* silu(gate) * up for the values [begin, stop) of the inner layer; both even. */
static void swiglu(const bf16 *x, const int8_t *w, const bf16 *scale, long rows, long in,
                   long begin, long stop, long hidden, float *sums, bf16 *inner) {
    for (long o = begin; o < stop; o += 2) {
        const int8_t *from[OUTPUTS] = {w + o * in, w + (o + 1) * in, w + (hidden + o) * in,
                                       w + (hidden + o + 1) * in};
        products(from, x, rows, in, 2 * in, sums);
        for (long r = 0; r < rows; r++)
            for (int i = 0; i < 2; i++) {
                float gate = sums[r * OUTPUTS + i] * to_float(scale[o + i]);
                float up = sums[r * OUTPUTS + 2 + i] * to_float(scale[hidden + o + i]);
                inner[r * hidden + o + i] = to_bf16(gate / (1.0f + expf(-gate)) * up);
            }
    }
}

static void run_part(void *data) {
    Run *run = data;
    int thread = thread_number(), threads = thread_count();
    long count = run->rows * run->queries, dim = run->dim, hidden = run->hidden;
    bf16 *x = room(2 * count * dim);
    bf16 *turned = room(2 * run->queries * HEAD);
    float *sums = room(4 * count * OUTPUTS);
    float *scores = room(4 * QUERIES * run->visible);
    if (!x || !turned || !sums || !scores) run->failed = 1;
    long head = share(run->heads, 1, thread, threads);
    long head_stop = share(run->heads, 1, thread + 1, threads);
    long output = share(dim, 16, thread, threads), output_stop = share(dim, 16, thread + 1, threads);
    long inner = share(hidden, 32, thread, threads);
    long inner_stop = share(hidden, 32, thread + 1, threads);
    team_barrier();
    for (long layer = 0; layer < run->layers && !run->failed; layer++) {
        const Block *block = run->blocks + layer;
        normalise(run->state, block->attention_norm, run->eps, count, dim, x);
        heads_part(run, block, layer, x, head, head_stop, sums, turned, scores);
        team_barrier();
        add_product(run->mixed, block->out, block->out_scale, count, dim, output, output_stop, dim,
                    sums, run->state);
        team_barrier();
        normalise(run->state, block->mlp_norm, run->eps, count, dim, x);
        swiglu(x, block->gate_up, block->gate_up_scale, count, dim, inner, inner_stop, hidden, sums,
               run->inner);
        team_barrier();
        add_product(run->inner, block->down, block->down_scale, count, hidden, output, output_stop,
                    dim, sums, run->state);
        team_barrier();
    }
    free(x);
    free(turned);
    free(sums);
    free(scores);
}

/* All blocks; dim, hidden multiples of 32, heads of HEAD channels, visible a multiple of 16. The
 * fields up to `visible` are the caller's. Returns 0, or 1 where memory ran out. */
int editar_run(Run *run, int threads) {
    long count = run->rows * run->queries, dim = run->dim;
    run->state = room(4 * count * dim);
    run->qkv = room(4 * count * 3 * dim);
    run->mixed = room(2 * count * dim);
    run->inner = room(2 * count * run->hidden);
    run->failed = !run->state || !run->qkv || !run->mixed || !run->inner;
    if (!run->failed) {
        for (long i = 0; i < count * dim; i += 16)
            _mm512_storeu_ps(run->state + i, load_bf16(run->x + i));
        if (threads > run->heads) threads = (int)run->heads;
        start_team(run_part, run, (unsigned)threads, 0);
    }
    if (!run->failed)
        for (long i = 0; i < count * dim; i += 16)
            store_bf16(run->y + i, _mm512_loadu_ps(run->state + i));
    free(run->state);
    free(run->qkv);
    free(run->mixed);
    free(run->inner);
    return run->failed;
}
