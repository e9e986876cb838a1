/* The network of plain.py for a few hands.
 *
 * A call of numpy costs a microsecond whatever it computes, and the network of one hand needs twenty. The
 * steps and the order of the arrays are those of `PlainNetwork`; tests compare the two, and run this with the
 * sanitizers of the compiler. Wheels without it compute few hands in numpy, too.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stdint.h>

enum { POINTS = 21, COORDINATES = 2 * POINTS, LANDMARKS = 3 * POINTS, FACTORS = 4 };

static const float SMALL = 1e-30f;

/* The weights, row-major: see `PlainNetwork`. */
typedef struct {
    const float *linear, *hidden, *output;
    Py_ssize_t pairs, units, labels;
} Network;

static float dot(const float *a, const float *b, Py_ssize_t n)
{
    float sums[8] = {0}, rest = 0; /* eight, so that the compiler can use vectors */
    Py_ssize_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int lane = 0; lane < 8; lane++)
            sums[lane] += a[i + lane] * b[i + lane];
    for (; i < n; i++)
        rest += a[i] * b[i];
    return rest + ((sums[0] + sums[4]) + (sums[1] + sums[5])) + ((sums[2] + sums[6]) + (sums[3] + sums[7]));
}

/* Compute the values of a hand, and return its norm. They are dy, distances, x, y, norm, and three numbers
 * without use; the features are those from the distances to the norm. */
static float set_features(const Network *net, const float *landmarks, float aspect, float *values)
{
    const Py_ssize_t pairs = net->pairs, x = 2 * pairs, turn = x + COORDINATES;
    for (Py_ssize_t i = 0; i < turn + FACTORS; i++)
        values[i] = dot(net->linear + i * LANDMARKS, landmarks, LANDMARKS);
    const float *factors = values + turn;
    const float stretch = copysignf(aspect, factors[0] * factors[2] - factors[1] * factors[3] + SMALL);
    for (Py_ssize_t i = pairs; i < x + POINTS; i++)
        values[i] *= stretch;
    for (Py_ssize_t i = 0; i < pairs; i++)
        values[pairs + i] = sqrtf(values[pairs + i] * values[pairs + i] + values[i] * values[i]);
    const float norm = sqrtf(dot(values + x, values + x, COORDINATES));
    return values[turn] = norm < SMALL ? SMALL : norm;
}

/* Set the likeliest label of a hand and its probability, NaN if any value is. `memory` is for values,
 * activations and logits. */
static void classify_one(const Network *net, const float *landmarks, float aspect, float *memory,
                         int64_t *label, float *probability)
{
    const Py_ssize_t features = net->pairs + COORDINATES + 1;
    float *values = memory, *active = values + 2 * net->pairs + COORDINATES + FACTORS;
    float *logits = active + net->units;
    const float norm = set_features(net, landmarks, aspect, values);
    for (Py_ssize_t i = 0; i < net->units; i++) {
        active[i] = dot(net->hidden + i * features, values + net->pairs, features);
        if (active[i] < 0)
            active[i] = 0;
    }
    Py_ssize_t best = 0;
    for (Py_ssize_t i = 0; i < net->labels; i++) {
        logits[i] = dot(net->output + i * net->units, active, net->units);
        if (logits[i] > logits[best])
            best = i;
    }
    float total = 0;
    for (Py_ssize_t i = 0; i < net->labels; i++)
        total += expf((logits[i] - logits[best]) / norm);
    *label = best;
    *probability = 1 / total;
}

/* Return the number of rows of a matrix of float32, -1 if the buffer is not a matrix of that width. */
static Py_ssize_t rows_of(const Py_buffer *buffer, Py_ssize_t width)
{
    const Py_ssize_t row = width * (Py_ssize_t)sizeof(float);
    return (uintptr_t)buffer->buf % sizeof(float) || buffer->len % row ? -1 : buffer->len / row;
}

enum { LINEAR, HIDDEN, OUTPUT, HANDS, ASPECT, FOUND_LABELS, FOUND_PROBABILITIES, BUFFERS };

/* Return the number of hands and set the network, or return -1 if the arrays do not fit together. */
static Py_ssize_t opened(const Py_buffer *buffers, Network *net)
{
    const Py_ssize_t rows = rows_of(&buffers[LINEAR], LANDMARKS), hands = rows_of(&buffers[HANDS], LANDMARKS);
    net->pairs = (rows - COORDINATES - FACTORS) / 2;
    if (rows < COORDINATES + FACTORS || 2 * net->pairs + COORDINATES + FACTORS != rows)
        return -1;
    net->units = rows_of(&buffers[HIDDEN], net->pairs + COORDINATES + 1);
    net->labels = net->units < 1 ? -1 : rows_of(&buffers[OUTPUT], net->units);
    const Py_buffer *found = &buffers[FOUND_LABELS];
    if (net->labels < 1 || hands < 0 || rows_of(&buffers[ASPECT], 1) != hands
        || rows_of(&buffers[FOUND_PROBABILITIES], 1) != hands
        || found->len != hands * (Py_ssize_t)sizeof(int64_t) || (uintptr_t)found->buf % sizeof(int64_t))
        return -1;
    net->linear = buffers[LINEAR].buf;
    net->hidden = buffers[HIDDEN].buf;
    net->output = buffers[OUTPUT].buf;
    return hands;
}

static PyObject *classify(PyObject *Py_UNUSED(module), PyObject *arguments)
{
    Py_buffer all[BUFFERS];
    if (!PyArg_ParseTuple(arguments, "y*y*y*y*y*w*w*:classify", &all[LINEAR], &all[HIDDEN], &all[OUTPUT],
                          &all[HANDS], &all[ASPECT], &all[FOUND_LABELS], &all[FOUND_PROBABILITIES]))
        return NULL;
    Network net;
    const Py_ssize_t hands = opened(all, &net);
    const float *landmarks = all[HANDS].buf, *aspect = all[ASPECT].buf;
    int64_t *labels = all[FOUND_LABELS].buf;
    float *probabilities = all[FOUND_PROBABILITIES].buf, *memory = NULL;
    if (hands < 0)
        PyErr_SetString(PyExc_ValueError, "the arrays do not fit together");
    else if (!(memory = PyMem_New(float, 2 * net.pairs + COORDINATES + FACTORS + net.units + net.labels)))
        PyErr_NoMemory();
    else
        for (Py_ssize_t i = 0; i < hands; i++)
            classify_one(&net, landmarks + i * LANDMARKS, aspect[i], memory, labels + i, probabilities + i);
    for (int i = 0; i < BUFFERS; i++)
        PyBuffer_Release(&all[i]);
    if (!memory)
        return NULL;
    PyMem_Free(memory);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"classify", classify, METH_VARARGS,
     "classify(linear, hidden, output, landmarks, aspect, labels, probabilities)\n--\n\n"
     "Set labels (n,) int64 and probabilities (n,) float32 of n hands; see `models.plain.PlainNetwork`."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    .m_base = PyModuleDef_HEAD_INIT,
    .m_name = "native",
    .m_doc = "The network of few hands, see native.c.",
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit_native(void)
{
    return PyModuleDef_Init(&definition);
}
