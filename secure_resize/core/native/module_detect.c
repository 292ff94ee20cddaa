/* The boundary to Python of what the detectors need: arrays as buffers in one piece, whose sizes are checked. */
#include "module_detect.h"

#include <string.h>

#include "cut_off.h"
#include "windows.h"

#define BUFFERS_MOST 8

static void release(Py_buffer* buffers, int count) {
    for (int i = 0; i < count; i++) {
        if (buffers[i].obj != NULL) PyBuffer_Release(&buffers[i]);
    }
}

static PyObject* finish(Py_buffer* buffers, int count, Status status) {
    release(buffers, count);
    return status == OK ? Py_NewRef(Py_None) : PyErr_NoMemory();
}

static PyObject* refuse(Py_buffer* buffers, int count, const char* message) {
    release(buffers, count);
    PyErr_SetString(PyExc_ValueError, message);
    return NULL;
}

/* Whether a buffer of items of that size has rows * columns * channels of them. No product overflows: axes are below
 * 2^20, channels at most 4 (2^44 items). */
static bool holds(const Py_buffer* buffer, Py_ssize_t itemsize, int64_t rows, int64_t columns, int64_t channels) {
    return buffer->len == rows * columns * channels * itemsize;
}

static bool sides_valid(int64_t height, int64_t width, int channels) {
    return height >= 0 && height <= MAX_AXIS && width >= 0 && width <= MAX_AXIS && channels >= 1 && channels <= 4;
}

PyObject* module_second_difference(PyObject* module, PyObject* args) {
    (void)module;
    Py_buffer b[7] = {0};
    long long height, width;
    int channels;
    if (!PyArg_ParseTuple(args, "y*y*y*y*y*LLiw*w*", &b[0], &b[1], &b[2], &b[3], &b[4], &height, &width, &channels,
                          &b[5], &b[6])) {
        return NULL;
    }
    bool valid = sides_valid(height, width, channels) && height >= 3 && width >= 3;
    for (int k = 0; valid && k < 5; k++) valid = holds(&b[k], 1, height, width, channels);
    valid = valid && holds(&b[5], sizeof(int16_t), height - 2, width - 2, channels) &&
            holds(&b[6], sizeof(float), height - 2, width - 2, 1);
    if (!valid) {
        return refuse(b, 7,
                      "expected five pictures of (height, width, channels) bytes, of at least 3x3 and at most 4 "
                      "channels, and room for int16 and float32 without the border");
    }
    const uint8_t* const pictures[5] = {b[0].buf, b[1].buf, b[2].buf, b[3].buf, b[4].buf};
    Status status;
    Py_BEGIN_ALLOW_THREADS
    status = second_difference(pictures, height, width, channels, b[5].buf, b[6].buf);
    Py_END_ALLOW_THREADS
    return finish(b, 7, status);
}

PyObject* module_line_energy(PyObject* module, PyObject* args) {
    (void)module;
    Py_buffer b[2] = {0};
    int channels;
    if (!PyArg_ParseTuple(args, "y*iw*", &b[0], &channels, &b[1])) return NULL;
    int64_t pixels = b[1].len / (int64_t)sizeof(float);
    if (channels < 1 || channels > 4 || !holds(&b[1], sizeof(float), pixels, 1, 1) ||
        !holds(&b[0], sizeof(int16_t), pixels, channels, 1)) {
        return refuse(b, 2, "expected int16 of at most 4 channels, and room for a float32 for each pixel");
    }
    Py_BEGIN_ALLOW_THREADS
    line_energy(b[0].buf, pixels, channels, b[1].buf);
    Py_END_ALLOW_THREADS
    return finish(b, 2, OK);
}

PyObject* module_stand_out(PyObject* module, PyObject* args) {
    (void)module;
    Py_buffer b[4] = {0};
    long long height, width;
    int channels, side;
    if (!PyArg_ParseTuple(args, "z*y*y*LLiiw*", &b[0], &b[1], &b[2], &height, &width, &channels, &side, &b[3])) {
        return NULL;
    }
    bool valid = sides_valid(height, width, channels) && (side == 3 || side == 5 || side == WINDOW_MOST) &&
                 height >= side && width >= side;
    valid = valid && (b[0].buf == NULL || holds(&b[0], sizeof(int16_t), height, width, channels)) &&
            holds(&b[1], sizeof(float), height, width, 1) && holds(&b[2], sizeof(float), height, width, 1) &&
            holds(&b[3], sizeof(float), height - side + 1, width - side + 1, 1);
    if (!valid) {
        return refuse(b, 4,
                      "expected lines (height, width * channels) of int16 or None, energy and what is near of "
                      "(height, width), and room for windows of 3, 5 or 9 a side inside of that");
    }
    Status status;
    Py_BEGIN_ALLOW_THREADS
    status = stand_out(b[0].buf, b[1].buf, b[2].buf, height, width, channels, side, b[3].buf);
    Py_END_ALLOW_THREADS
    return finish(b, 4, status);
}

/* One of the file's components: (blocks, table, rows, columns, down, across), which holds `blocks`, or an exception. */
static bool parse_component(PyObject* from, const Coefficients* file, Component* component, Py_buffer* blocks) {
    Py_buffer table = {0};
    long long rows, columns;
    if (!PyArg_ParseTuple(from, "y*y*LLii", blocks, &table, &rows, &columns, &component->down, &component->across)) {
        return false;
    }
    int down = component->down, across = component->across;
    bool valid = down >= 0 && across >= 0 && down <= 3 && across <= 3 && table.len == sizeof component->table &&
                 rows >= 1 && rows <= MAX_AXIS && columns >= 1 && columns <= MAX_AXIS &&
                 blocks->len == rows * columns * BLOCK * (int64_t)sizeof(int16_t) &&
                 rows << (3 + down) >= file->height && columns << (3 + across) >= file->width;
    if (valid) {
        memcpy(component->table, table.buf, sizeof component->table);
        component->blocks = blocks->buf;
        component->rows = rows;
        component->columns = columns;
    } else {
        PyErr_SetString(PyExc_ValueError,
                        "expected blocks of 8x8 int16 that cover the picture, 64 factors as float32, "
                        "and steps of 2^0 to 2^3");
    }
    PyBuffer_Release(&table);
    return valid;
}

static PyObject* with_component_error(Py_buffer* buffers) {
    release(buffers, BUFFERS_MOST + 1);
    return NULL;
}

/* (components, height, width, to_rgb or None, inverse, three planes) -> beyond */
PyObject* module_cut_off(PyObject* module, PyObject* args) {
    (void)module;
    Py_buffer b[BUFFERS_MOST + 1] = {0}; /* up to four of blocks, then to_rgb, inverse and the planes */
    Py_buffer* others = b + COMPONENTS_MOST;
    PyObject* components;
    long long height, width;
    if (!PyArg_ParseTuple(args, "O!LLz*y*w*w*w*", &PyTuple_Type, &components, &height, &width, &others[0], &others[1],
                          &others[2], &others[3], &others[4])) {
        return NULL;
    }
    Coefficients file = {.height = height, .width = width, .to_rgb = others[0].buf, .inverse = others[1].buf};
    Py_ssize_t count = PyTuple_Size(components);
    bool valid = sides_valid(height, width, 1) && height > 0 && width > 0 && count >= 1 && count <= COMPONENTS_MOST &&
                 (file.to_rgb == NULL || (count == 3 && others[0].len == 9 * sizeof(float))) &&
                 others[1].len == BLOCK * sizeof(float);
    for (int scale = 0; valid && scale < 3; scale++) {
        valid = holds(&others[2 + scale], sizeof(float), height / (2 << scale), width / (2 << scale), 1);
    }
    if (!valid) {
        return refuse(b, BUFFERS_MOST + 1,
                      "expected one to four components, 3x3 and 8x8 float32 matrices, and a plane "
                      "of float32 for each group of 2, 4 and 8 pixels");
    }
    file.count = (int)count;
    for (int k = 0; k < file.count; k++) {
        PyObject* one = PyTuple_GetItem(components, k);
        if (one != NULL && !PyTuple_Check(one)) {
            PyErr_SetString(PyExc_TypeError, "each component must be a tuple");
            one = NULL;
        }
        if (one == NULL || !parse_component(one, &file, &file.components[k], &b[k])) return with_component_error(b);
    }
    float* const apart[3] = {others[2].buf, others[3].buf, others[4].buf};
    float beyond = 0;
    Status status;
    Py_BEGIN_ALLOW_THREADS
    status = cut_off(&file, apart, &beyond);
    Py_END_ALLOW_THREADS
    release(b, BUFFERS_MOST + 1);
    return status == OK ? PyFloat_FromDouble(beyond) : PyErr_NoMemory();
}

PyObject* module_worst_window(PyObject* module, PyObject* args) {
    (void)module;
    Py_buffer b[1] = {0};
    long long height, width;
    int side;
    if (!PyArg_ParseTuple(args, "y*LLi", &b[0], &height, &width, &side)) return NULL;
    if (!sides_valid(height, width, 1) || height < 1 || width < 1 || side < 1 ||
        !holds(&b[0], sizeof(float), height, width, 1)) {
        return refuse(b, 1, "expected float32 (height, width), and a side of at least 1");
    }
    float mean;
    int64_t row = 0, column = 0;
    Status status;
    Py_BEGIN_ALLOW_THREADS
    status = worst_window(b[0].buf, height, width, side, &mean, &row, &column);
    Py_END_ALLOW_THREADS
    release(b, 1);
    return status == OK ? Py_BuildValue("dLL", (double)mean, (long long)row, (long long)column) : PyErr_NoMemory();
}
