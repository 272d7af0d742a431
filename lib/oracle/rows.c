/* SPDX-License-Identifier: Apache-2.0 */
#include "rows.h"

#include <math.h>
#include <stdlib.h>

#include "base/base.h"

/* Where one sequence of the batch lies. */
struct sequence {
    int64_t q_start, q_len, kv_len;
    int64_t prefix;    /* keys before it are cached */
    int64_t new_start; /* its first row in the contiguous k and v */
    const int32_t *pages;
};

/* The gathered keys and values of one sequence and KV head; as in struct oracle_row. */
struct gathered {
    float *keys;
    const float **values;
};

static int64_t min_int64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max_int64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

int64_t oracle_max_kv_len(const struct oracle_input *input)
{
    int64_t longest = 0;
    for (int32_t b = 0; b < input->batch; b++)
        longest = max_int64(longest, input->kv_len[b]);
    return longest;
}

int32_t oracle_head_dim_vo(const attune_attention_desc *desc)
{
    return desc->head_dim_vo ? desc->head_dim_vo : desc->head_dim_qk;
}

static int64_t new_keys(const struct oracle_input *input, int32_t b)
{
    switch (input->desc->operation) {
    case ATTUNE_PREFILL:
        return input->kv_len[b];
    case ATTUNE_EXTEND:
        return input->q_len[b];
    case ATTUNE_DECODE:
        return input->kv_indptr ? 0 : input->kv_len[b];
    }
    return 0;
}

/* The alignment gives a query its position; the causal mask and the windows are stated in positions. */
static void visible_keys(const attune_attention_desc *desc, const struct sequence *sequence, int64_t i, int64_t *first,
                         int64_t *end)
{
    int64_t position = desc->causal_alignment == ATTUNE_TOP_LEFT ? i : sequence->kv_len - sequence->q_len + i;
    *first = 0;
    *end = sequence->kv_len;
    if (desc->mask == ATTUNE_MASK_CAUSAL)
        *end = min_int64(*end, position + 1);
    if (desc->window_right >= 0)
        *end = min_int64(*end, position + desc->window_right + 1);
    if (desc->window_left >= 0)
        *first = max_int64(*first, position - desc->window_left);
    *end = max_int64(*end, *first);
}

static void gather(const struct oracle_input *input, const struct sequence *sequence, int32_t kv_head,
                   const struct gathered *out)
{
    /* Bounds never decrease from one query to the next, so the first and the last query bound them all. */
    int64_t first, end, unused;
    visible_keys(input->desc, sequence, 0, &first, &unused);
    visible_keys(input->desc, sequence, sequence->q_len - 1, &unused, &end);
    end = min_int64(end, sequence->kv_len);
    int64_t dim = input->desc->head_dim_qk;
    for (int64_t j = first; j < end; j++) {
        const float *key;
        if (j < sequence->prefix) {
            int64_t page = sequence->pages[j / input->page_size], token = j % input->page_size;
            key = input->k_cache + page * input->k_cache_stride_page + token * input->k_cache_stride_token +
                  kv_head * input->k_cache_stride_head;
            out->values[j] = input->v_cache + page * input->v_cache_stride_page + token * input->v_cache_stride_token +
                             kv_head * input->v_cache_stride_head;
        } else {
            int64_t token = sequence->new_start + j - sequence->prefix;
            key = input->k + token * input->k_stride_token + kv_head * input->k_stride_head;
            out->values[j] = input->v + token * input->v_stride_token + kv_head * input->v_stride_head;
        }
        float *column = out->keys + j / KEY_BLOCK * dim * KEY_BLOCK + j % KEY_BLOCK;
        for (int64_t d = 0; d < dim; d++)
            column[d * KEY_BLOCK] = key[d];
    }
}

/* What of the rows a call takes, and how far it is. */
struct walk {
    const struct oracle_input *input;
    struct oracle_share share;
    bool by_row; /* too few sequences and KV heads to share those out */
    int64_t unit;
    struct gathered gathered;
    oracle_row_function function;
    void *priv;
};

/* The rows that share one sequence's keys of one KV head. */
static void rows_of_unit(struct walk *walk, const struct sequence *sequence, int32_t b, int32_t kv_head)
{
    const struct oracle_input *input = walk->input;
    const attune_attention_desc *desc = input->desc;
    const struct oracle_share *share = &walk->share;
    struct oracle_row row = {.desc = desc,
                             .sequence = b,
                             .head_dim_qk = desc->head_dim_qk,
                             .head_dim_vo = oracle_head_dim_vo(desc),
                             .keys = walk->gathered.keys,
                             .values = walk->gathered.values,
                             .scale = desc->scale != 0.0f ? (double)desc->scale : 1.0 / sqrt(desc->head_dim_qk)};
    int64_t group_size = desc->num_q_heads / desc->num_kv_heads;
    bool has_gathered = false;
    for (int64_t n = 0; n < group_size * sequence->q_len; n++) {
        int64_t i = n % sequence->q_len, head = kv_head * group_size + n / sequence->q_len;
        int64_t token = sequence->q_start + i;
        row.index = token * desc->num_q_heads + head;
        if ((walk->by_row && n % share->parts != share->part) || (share->wanted && !share->wanted[row.index]))
            continue;
        if (!has_gathered)
            gather(input, sequence, kv_head, &walk->gathered);
        has_gathered = true;
        row.q = input->q + token * input->q_stride_token + head * input->q_stride_head;
        visible_keys(desc, sequence, i, &row.first_key, &row.end_key);
        walk->function(&row, walk->priv);
    }
}

static void rows_of_sequence(struct walk *walk, const struct sequence *sequence, int32_t b)
{
    for (int32_t kv_head = 0; kv_head < walk->input->desc->num_kv_heads; kv_head++, walk->unit++)
        if (walk->by_row || walk->unit % walk->share.parts == walk->share.part)
            rows_of_unit(walk, sequence, b, kv_head);
}

/* Sequences and KV heads are shared out where there are enough for equal parts: each gathers its keys once. */
static bool share_by_row(const struct oracle_input *input, int32_t parts)
{
    int64_t sequences = 0;
    for (int32_t b = 0; b < input->batch; b++)
        sequences += input->q_len[b] > 0;
    return sequences * input->desc->num_kv_heads < 4 * (int64_t)parts;
}

attune_status oracle_for_each_row(const struct oracle_input *input, const struct oracle_share *share,
                                  oracle_row_function function, void *priv)
{
    size_t blocks = (size_t)oracle_max_kv_len(input) / KEY_BLOCK + 1;
    struct walk walk = {.input = input, .share = {0, 1, NULL}, .function = function, .priv = priv};
    if (share)
        walk.share = *share;
    walk.by_row = share_by_row(input, walk.share.parts);
    walk.gathered.keys = calloc(blocks * KEY_BLOCK * (size_t)input->desc->head_dim_qk, sizeof(float));
    walk.gathered.values = calloc(blocks * KEY_BLOCK, sizeof(float *));
    attune_status status = ATTUNE_OK;
    if (!walk.gathered.keys || !walk.gathered.values)
        status = set_error(ATTUNE_ERROR_OUT_OF_MEMORY, "oracle: no memory for %zu keys", blocks * KEY_BLOCK);
    struct sequence sequence = {0};
    for (int32_t b = 0; b < input->batch && status == ATTUNE_OK; b++) {
        int64_t new_len = new_keys(input, b);
        sequence.q_len = input->q_len[b];
        sequence.kv_len = input->kv_len[b];
        sequence.prefix = sequence.kv_len - new_len;
        sequence.pages = sequence.prefix > 0 ? input->kv_indices + input->kv_indptr[b] : NULL;
        if (sequence.q_len > 0)
            rows_of_sequence(&walk, &sequence, b);
        sequence.q_start += sequence.q_len;
        sequence.new_start += new_len;
    }
    free(walk.gathered.keys);
    free(walk.gathered.values);
    return status;
}
