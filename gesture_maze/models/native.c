/* The network of plain.py for a few hands.
 *
 * A call of numpy costs a microsecond whatever it computes, and the network of one hand needs twenty. The
 * steps are those of `PlainNetwork`; tests compare the two, and run this with the sanitizers of the compiler.
 * Wheels without it compute few hands in numpy, too.
 */

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

enum { POINTS = 21, COORDINATES = 2 * POINTS, LANDMARKS = 3 * POINTS, PAIRS = 25, BLOCK = 32, MOST_LABELS = 1 << 16 };

/* Places of the values of a hand, which are dy, distances, x, y, norm, and three numbers without use; the
 * features are those from the distances to the norm. */
enum { DISTANCES = PAIRS, X = 2 * PAIRS, NORM = X + COORDINATES, VALUES = NORM + 4 };
enum { FEATURES = NORM + 1 - DISTANCES };

static const float SMALL = 1e-30f;

/* Four numbers in a register. */
typedef float Vector __attribute__((vector_size(16), aligned(4), may_alias));

/* The weights of `PlainNetwork`, per block of outputs: a row of BLOCK for each input. */
typedef struct {
    const float *linear, *hidden, *output;
    Py_ssize_t units, labels;
} Network;

/* Round a number of outputs up to whole blocks. */
static Py_ssize_t filled(Py_ssize_t outputs)
{
    return (outputs + BLOCK - 1) / BLOCK * BLOCK;
}

/* Set the outputs of a layer without its activation, to the end of the last block. */
static void set_outputs(const float *weights, const float *in, Py_ssize_t inputs, float *out, Py_ssize_t outputs)
{
    for (const float *end = out + filled(outputs); out < end; out += BLOCK) {
        Vector sums[BLOCK / 4] = {0};
        for (Py_ssize_t i = 0; i < inputs; i++, weights += BLOCK)
            for (int k = 0; k < BLOCK / 4; k++)
                sums[k] += in[i] * ((const Vector *)weights)[k];
        memcpy(out, sums, sizeof sums);
    }
}

/* Set the values of a hand, and return its norm. */
static float set_values(const Network *net, const float *landmarks, float aspect, float *values)
{
    set_outputs(net->linear, landmarks, LANDMARKS, values, VALUES);
    const float *turn = values + NORM;
    const float stretch = copysignf(aspect, turn[0] * turn[2] - turn[1] * turn[3] + SMALL);
    for (int i = DISTANCES; i < X + POINTS; i++)
        values[i] *= stretch;
    for (int i = 0; i < PAIRS; i++)
        values[DISTANCES + i] = sqrtf(values[DISTANCES + i] * values[DISTANCES + i] + values[i] * values[i]);
    float squares = 0;
    for (int i = X; i < NORM; i++)
        squares += values[i] * values[i];
    const float norm = sqrtf(squares);
    return values[NORM] = norm < SMALL ? SMALL : norm;
}

/* Set the likeliest label of a hand and its probability, NaN if any value is. `memory` is for values,
 * activations and logits. */
static void classify_one(const Network *net, const float *landmarks, float aspect, float *memory,
                         int64_t *label, float *probability)
{
    float *values = memory, *active = values + filled(VALUES), *logits = active + filled(net->units);
    const float norm = set_values(net, landmarks, aspect, values);
    set_outputs(net->hidden, values + DISTANCES, FEATURES, active, net->units);
    for (Py_ssize_t i = 0; i < net->units; i++)
        active[i] = active[i] < 0 ? 0 : active[i];
    set_outputs(net->output, active, net->units, logits, net->labels);
    Py_ssize_t best = 0;
    for (Py_ssize_t i = 1; i < net->labels; i++)
        if (logits[i] > logits[best])
            best = i;
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

/* Return the number of hands and set all of the network but its number of labels, or return -1 if the arrays
 * do not fit together. */
static Py_ssize_t opened(const Py_buffer *buffers, Network *net)
{
    if (net->labels < 1 || net->labels > MOST_LABELS)
        return -1;
    net->units = rows_of(&buffers[OUTPUT], filled(net->labels));
    const Py_ssize_t hands = rows_of(&buffers[HANDS], LANDMARKS);
    const Py_buffer *found = &buffers[FOUND_LABELS];
    if (rows_of(&buffers[LINEAR], LANDMARKS) != filled(VALUES) || net->units < 1
        || rows_of(&buffers[HIDDEN], FEATURES) != filled(net->units) || hands < 0
        || rows_of(&buffers[ASPECT], 1) != hands || rows_of(&buffers[FOUND_PROBABILITIES], 1) != hands
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
    Network net;
    if (!PyArg_ParseTuple(arguments, "y*y*y*ny*y*w*w*:classify", &all[LINEAR], &all[HIDDEN], &all[OUTPUT],
                          &net.labels, &all[HANDS], &all[ASPECT], &all[FOUND_LABELS], &all[FOUND_PROBABILITIES]))
        return NULL;
    const Py_ssize_t hands = opened(all, &net);
    const float *landmarks = all[HANDS].buf, *aspect = all[ASPECT].buf;
    int64_t *labels = all[FOUND_LABELS].buf;
    float *probabilities = all[FOUND_PROBABILITIES].buf, *memory = NULL;
    if (hands < 0)
        PyErr_SetString(PyExc_ValueError, "the arrays do not fit together");
    else if (!(memory = PyMem_New(float, filled(VALUES) + filled(net.units) + filled(net.labels))))
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
     "classify(linear, hidden, output, count, landmarks, aspect, labels, probabilities)\n--\n\n"
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
