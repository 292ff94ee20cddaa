/* The boundary to Python: resizers as opaque objects, images as buffers. Of the rest of the extension only
 * module_detect.c, with the detectors' functions, knows Python. */
#include <stdlib.h>
#include <string.h>

#include "module_detect.h"
#include "native.h"
#include "select.h"

typedef struct {
    PyObject_HEAD Resizer* resizer;
} ResizerObject;

typedef struct {
    PyTypeObject* resizer_type;
    Level level; /* what resizers use unless told otherwise */
} State;

static PyObject* raise_status(Status status) {
    if (status == NO_MEMORY) return PyErr_NoMemory();
    PyErr_SetString(
        PyExc_ValueError,
        "invalid weights: start and start + width must lie inside the axis and not descend, and the rows of "
        "an area axis must be one edge, equal whole weights and one edge that sum to the unit");
    return NULL;
}

static void resizer_dealloc(PyObject* self) {
    PyTypeObject* type = Py_TYPE(self);
    resizer_free(((ResizerObject*)self)->resizer);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static PyObject* resizer_implementation(PyObject* self, void* unused) {
    (void)unused;
    return PyUnicode_FromString(((ResizerObject*)self)->resizer->implementation->name);
}

static PyGetSetDef resizer_getset[] = {
    {"implementation", resizer_implementation, NULL, "Name of the implementation that runs this resizer.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot resizer_slots[] = {
    {Py_tp_dealloc, resizer_dealloc},
    {Py_tp_getset, resizer_getset},
    {Py_tp_doc, "Weights and tables for one pair of axes, one dtype and one number of channels; made by resizer()."},
    {0, NULL},
};

static PyType_Spec resizer_spec = {
    .name = "secure_resize.core.native._native.Resizer",
    .basicsize = sizeof(ResizerObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = resizer_slots,
};

static bool parse_level(const char* name, Level* level) {
    if (level_find(name, level) && level_supported(*level)) return true;
    PyObject* valid = PyUnicode_FromString("");
    for (int i = LEVEL_COUNT - 1; i >= 0 && valid != NULL; i--) {
        if (!level_supported((Level)i)) continue;
        PyObject* longer =
            PyUnicode_FromFormat("%U%s%s", valid, PyUnicode_GetLength(valid) > 0 ? ", " : "", level_name((Level)i));
        Py_DECREF(valid);
        valid = longer;
    }
    if (valid == NULL) return false;
    PyErr_Format(PyExc_ValueError, "'%s' is not an instruction set of this machine; valid: %U", name, valid);
    Py_DECREF(valid);
    return false;
}

/* One axis as Python passes it: (n_in, n_out, unit, start, weights), or (n_in,) for an axis that is left alone. */
typedef struct {
    AxisInput input;
    Py_buffer start, weights;
} AxisArgument;

static void release_axis(AxisArgument* axis) {
    if (axis->start.obj != NULL) PyBuffer_Release(&axis->start);
    if (axis->weights.obj != NULL) PyBuffer_Release(&axis->weights);
}

static bool parse_axis(PyObject* tuple, AxisArgument* axis, bool real) {
    if (PyTuple_Size(tuple) == 1) return PyArg_ParseTuple(tuple, "i", &axis->input.n_in) != 0;
    AxisInput* input = &axis->input;
    if (!PyArg_ParseTuple(tuple, "iiiy*y*", &input->n_in, &input->n_out, &input->unit, &axis->start, &axis->weights)) {
        return false;
    }
    Py_ssize_t outputs = input->n_out, item = real ? (Py_ssize_t)sizeof(double) : (Py_ssize_t)sizeof(int32_t);
    if (outputs < 1 || axis->start.len != outputs * (Py_ssize_t)sizeof(int32_t) || axis->weights.len <= 0 ||
        axis->weights.len % (outputs * item) != 0 || axis->weights.len / (outputs * item) > MAX_AXIS) {
        PyErr_SetString(PyExc_ValueError, "start must hold n_out and weights n_out * width numbers");
        return false;
    }
    input->width = (int32_t)(axis->weights.len / (outputs * item));
    input->start = axis->start.buf;
    if (real) {
        input->reals = axis->weights.buf;
    } else {
        input->weights = axis->weights.buf;
    }
    return true;
}

static PyObject* module_resizer(PyObject* module, PyObject* args) {
    static const char* const KINDS[] = {"area", "fixed", "float"};
    const char *kind_name, *wanted_level;
    PyObject *rows, *cols, *result = NULL;
    int rows_first, channels, itemsize, kind = 0;
    Py_ssize_t pixel, channel;
    if (!PyArg_ParseTuple(args, "sO!O!piinns", &kind_name, &PyTuple_Type, &rows, &PyTuple_Type, &cols, &rows_first,
                          &channels, &itemsize, &pixel, &channel, &wanted_level)) {
        return NULL;
    }
    while (kind < 3 && strcmp(kind_name, KINDS[kind]) != 0) kind++;
    if (kind == 3) return PyErr_Format(PyExc_ValueError, "kind must be area, fixed or float, got %s", kind_name);
    if (channels < 1 || channels > MAX_CHANNELS) {
        return PyErr_Format(PyExc_ValueError, "1 to %d channels are valid, got %d", MAX_CHANNELS, channels);
    }
    State* state = PyModule_GetState(module);
    Level level;
    if (!parse_level(wanted_level, &level)) return NULL;
    AxisArgument row_axis = {0}, col_axis = {0};
    if (parse_axis(rows, &row_axis, kind == FLOAT) && parse_axis(cols, &col_axis, kind == FLOAT)) {
        Resizer* resizer = NULL;
        Status status = BAD_TABLE;
        bool whole = kind == FIXED || (row_axis.input.start != NULL && col_axis.input.start != NULL);
        if (whole) {
            const Format format = {channels, itemsize, pixel, channel};
            status =
                resizer_build(&resizer, (Kind)kind, &row_axis.input, &col_axis.input, rows_first != 0, &format, level);
        }
        if (status != OK) {
            raise_status(status);
        } else {
            allocfunc allocate = (allocfunc)PyType_GetSlot(state->resizer_type, Py_tp_alloc);
            result = allocate(state->resizer_type, 0);
            if (result == NULL) {
                resizer_free(resizer);
            } else {
                ((ResizerObject*)result)->resizer = resizer;
            }
        }
    }
    release_axis(&row_axis);
    release_axis(&col_axis);
    return result;
}

/* Of the source's strides those inside a row must be the resizer's. One of one channel may be given planes. */
static bool check_source(const Resizer* resizer, const Py_buffer* view) {
    if (view->ndim != 4 || view->itemsize != resizer->itemsize) return false;
    const Py_ssize_t *shape = view->shape, *strides = view->strides;
    bool planes = resizer->channels == 1 && shape[3] >= 1 && shape[3] <= MAX_CHANNELS;
    return shape[1] == resizer->rows.n_in && shape[2] == resizer->cols.n_in && (planes || shape[3] == resizer->kept) &&
           (strides[3] == resizer->channel || planes || shape[3] == 1) &&
           (strides[2] == resizer->pixel || shape[2] == 1);
}

static bool check_out(const Resizer* resizer, const Py_buffer* view, const Py_buffer* source) {
    return view->ndim == 4 && view->itemsize == resizer->itemsize && view->shape[0] == source->shape[0] &&
           view->shape[1] == resizer->rows.n_out && view->shape[2] == resizer->cols.n_out &&
           view->shape[3] == source->shape[3];
}

static Views views_of(const Resizer* resizer, const Py_buffer* source, const Py_buffer* target, bool backwards) {
    return (Views){.source = source->buf,
                   .image = source->strides[0],
                   .row = source->strides[1],
                   .plane = source->strides[3],
                   .out = target->buf,
                   .images = source->shape[0],
                   .planes = resizer->channels == 1 ? (int32_t)source->shape[3] : 1,
                   .backwards = backwards};
}

static PyObject* module_run(PyObject* module, PyObject* args) {
    State* state = PyModule_GetState(module);
    PyObject *resizer_object, *image, *out;
    int num_threads, backwards;
    if (!PyArg_ParseTuple(args, "O!OOip", state->resizer_type, &resizer_object, &image, &out, &num_threads,
                          &backwards)) {
        return NULL;
    }
    if (num_threads < 1) return PyErr_Format(PyExc_ValueError, "num_threads must be at least 1, got %d", num_threads);
    const Resizer* resizer = ((ResizerObject*)resizer_object)->resizer;
    Py_buffer source, target;
    if (PyObject_GetBuffer(image, &source, PyBUF_STRIDES) != 0) return NULL;
    if (PyObject_GetBuffer(out, &target, PyBUF_WRITABLE | PyBUF_C_CONTIGUOUS) != 0) {
        PyBuffer_Release(&source);
        return NULL;
    }
    PyObject* result = NULL;
    if (!check_source(resizer, &source) || !check_out(resizer, &target, &source)) {
        PyErr_SetString(PyExc_ValueError,
                        "image and out must be (N, H, W, C) of the resizer's sizes and item size, "
                        "with its strides inside a row (image) or contiguous (out)");
    } else {
        Status status;
        const Views views = views_of(resizer, &source, &target, backwards != 0);
        Py_BEGIN_ALLOW_THREADS
        status = resizer_run(resizer, &views, num_threads);
        Py_END_ALLOW_THREADS
        if (status != OK) {
            raise_status(status);
        } else {
            result = Py_NewRef(Py_None);
        }
    }
    PyBuffer_Release(&target);
    PyBuffer_Release(&source);
    return result;
}

/* The selective filters take their tables with every call: they are short, and checked faster than an image is read. */
typedef struct {
    Selection selection;
    Images images;
    Py_buffer image, out, rows, cols, key;
} SelectArguments;

static void release_select(SelectArguments* arguments) {
    Py_buffer* buffers[] = {&arguments->image, &arguments->out, &arguments->rows, &arguments->cols, &arguments->key};
    for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) {
        if (buffers[i]->obj != NULL) PyBuffer_Release(buffers[i]);
    }
}

static bool is_image(const Py_buffer* view, const Selection* selection) {
    return view->ndim == 3 && view->itemsize == 1 && view->shape[0] == selection->height &&
           view->shape[1] == selection->width && view->shape[2] == selection->channels &&
           (view->strides[2] == 1 || view->shape[2] == 1) &&
           (view->strides[1] == selection->channels || view->shape[1] == 1);
}

/* (image, out, rows, cols, half_rows, half_cols, key, level), or without a key: images (H, W, C) of bytes, contiguous
 * inside a row. */
static bool parse_select(PyObject* args, SelectArguments* arguments, bool keyed, Level* level) {
    PyObject *image, *out;
    const char* level_wanted;
    Selection* selection = &arguments->selection;
    Py_buffer *rows = &arguments->rows, *cols = &arguments->cols;
    int32_t *half_rows = &selection->half_rows, *half_cols = &selection->half_cols;
    bool parsed =
        keyed ? PyArg_ParseTuple(args, "OOy*y*iiy*s", &image, &out, rows, cols, half_rows, half_cols, &arguments->key,
                                 &level_wanted)
              : PyArg_ParseTuple(args, "OOy*y*iis", &image, &out, rows, cols, half_rows, half_cols, &level_wanted);
    if (!parsed || !parse_level(level_wanted, level) ||
        PyObject_GetBuffer(image, &arguments->image, PyBUF_STRIDES) != 0 ||
        PyObject_GetBuffer(out, &arguments->out, PyBUF_STRIDES | PyBUF_WRITABLE) != 0) {
        return false;
    }
    const Py_buffer* view = &arguments->image;
    bool valid = view->ndim == 3 && view->shape[0] <= MAX_AXIS && view->shape[1] <= MAX_AXIS &&
                 view->shape[2] <= MAX_CHANNELS && arguments->rows.len / 4 <= MAX_AXIS &&
                 arguments->cols.len / 4 <= MAX_AXIS;
    if (valid) {
        selection->height = (int32_t)view->shape[0];
        selection->width = (int32_t)view->shape[1];
        selection->channels = (int32_t)view->shape[2];
        selection->rows = arguments->rows.buf;
        selection->cols = arguments->cols.buf;
        selection->row_count = (int32_t)(arguments->rows.len / 4);
        selection->col_count = (int32_t)(arguments->cols.len / 4);
        valid = is_image(view, selection) && is_image(&arguments->out, selection);
    }
    if (!valid) {
        PyErr_SetString(PyExc_ValueError, "image and out must be (H, W, C) of bytes, alike, contiguous inside a row");
        return false;
    }
    arguments->images = (Images){view->buf, view->strides[0], arguments->out.buf, arguments->out.strides[0]};
    return true;
}

static PyObject* finish_select(SelectArguments* arguments, Status status) {
    release_select(arguments);
    if (status == OK) return Py_NewRef(Py_None);
    if (status == NO_MEMORY) return PyErr_NoMemory();
    PyErr_SetString(PyExc_ValueError,
                    "invalid selection: rows and cols must ascend inside the image, a window hold at most "
                    "16384 pixels, a key have 32 bytes");
    return NULL;
}

static PyObject* module_select_median(PyObject* module, PyObject* args) {
    (void)module;
    SelectArguments arguments = {0};
    Level level;
    if (!parse_select(args, &arguments, false, &level)) {
        release_select(&arguments);
        return NULL;
    }
    Status status = BAD_TABLE;
    Py_BEGIN_ALLOW_THREADS
    if (selection_valid(&arguments.selection)) status = select_median(&arguments.selection, &arguments.images, level);
    Py_END_ALLOW_THREADS
    return finish_select(&arguments, status);
}

static PyObject* module_select_random(PyObject* module, PyObject* args) {
    (void)module;
    SelectArguments arguments = {0};
    Level level;
    if (!parse_select(args, &arguments, true, &level)) {
        release_select(&arguments);
        return NULL;
    }
    Status status = BAD_TABLE;
    Py_BEGIN_ALLOW_THREADS
    if (arguments.key.len == 32 && selection_valid(&arguments.selection)) {
        status = select_random(&arguments.selection, &arguments.images, arguments.key.buf, level);
    }
    Py_END_ALLOW_THREADS
    return finish_select(&arguments, status);
}

static PyObject* module_fingerprint(PyObject* module, PyObject* args) {
    (void)module;
    Py_buffer data, key, hashes;
    const char* level_wanted;
    Level level;
    if (!PyArg_ParseTuple(args, "y*y*w*s", &data, &key, &hashes, &level_wanted)) return NULL;
    PyObject* result = NULL;
    if (parse_level(level_wanted, &level)) {
        if (key.len != FINGERPRINT_BLOCK || hashes.len / 8 != (data.len + FINGERPRINT_BLOCK - 1) / FINGERPRINT_BLOCK) {
            PyErr_SetString(PyExc_ValueError,
                            "the key must have 1024 bytes, hashes 8 for each 1024 bytes of data begun");
        } else {
            Py_BEGIN_ALLOW_THREADS
            fingerprint(data.buf, (size_t)data.len, key.buf, hashes.buf, level);
            Py_END_ALLOW_THREADS
            result = Py_NewRef(Py_None);
        }
    }
    PyBuffer_Release(&data);
    PyBuffer_Release(&key);
    PyBuffer_Release(&hashes);
    return result;
}

static void arrange_images(const Py_buffer* image, uint8_t* out, Level level) {
    const Py_ssize_t *shape = image->shape, *strides = image->strides;
    Py_ssize_t line = shape[2] * shape[3] * image->itemsize;
    for (Py_ssize_t n = 0; n < shape[0]; n++) {
        const Grid grid = {(const uint8_t*)image->buf + n * strides[0],
                           strides[1],
                           strides[2],
                           strides[3],
                           shape[1],
                           shape[2],
                           shape[3],
                           (int)image->itemsize};
        arrange(&grid, out + n * shape[1] * line, line, level);
    }
}

static PyObject* module_arrange(PyObject* module, PyObject* args) {
    (void)module;
    PyObject *image_object, *out_object, *result = NULL;
    Py_buffer image = {0}, out = {0};
    const char* level_wanted;
    Level level;
    if (!PyArg_ParseTuple(args, "OOs", &image_object, &out_object, &level_wanted)) return NULL;
    if (!parse_level(level_wanted, &level)) return NULL;
    if (PyObject_GetBuffer(image_object, &image, PyBUF_STRIDED_RO) == 0 &&
        PyObject_GetBuffer(out_object, &out, PyBUF_ND | PyBUF_WRITABLE) == 0) {
        bool alike = image.ndim == 4 && out.ndim == 4 && image.itemsize == out.itemsize && image.itemsize <= 8;
        for (int axis = 0; alike && axis < 4; axis++) alike = image.shape[axis] == out.shape[axis];
        if (alike) {
            Py_BEGIN_ALLOW_THREADS
            arrange_images(&image, out.buf, level);
            Py_END_ALLOW_THREADS
            result = Py_NewRef(Py_None);
        } else {
            PyErr_SetString(PyExc_ValueError, "image and out must be (N, H, W, C) of the same shape and dtype");
        }
    }
    if (image.obj != NULL) PyBuffer_Release(&image);
    if (out.obj != NULL) PyBuffer_Release(&out);
    return result;
}

/* (values, out, rows, cols): where the indices lie inside `out`, all of them (N, H, W, C) of the same item. */
static bool check_places(const Py_buffer* values, const Py_buffer* out, const Py_buffer* rows, const Py_buffer* cols) {
    const Py_ssize_t item = (Py_ssize_t)sizeof(int32_t);
    if (values->ndim != 4 || out->ndim != 4 || values->itemsize != out->itemsize) return false;
    if (values->shape[0] != out->shape[0] || values->shape[3] != out->shape[3]) return false;
    if (rows->len != values->shape[1] * item || cols->len != values->shape[2] * item) return false;
    if (out->shape[3] > 1 && out->strides[3] != out->itemsize) return false;
    if (out->shape[2] > 1 && out->strides[2] != out->itemsize * out->shape[3]) return false;
    for (int axis = 0; axis < 2; axis++) {
        const int32_t* index = (axis == 0 ? rows : cols)->buf;
        for (Py_ssize_t i = 0; i < values->shape[axis + 1]; i++) {
            if (index[i] < 0 || index[i] >= out->shape[axis + 1]) return false;
        }
    }
    return true;
}

static void place_images(const Py_buffer* values, const Py_buffer* out, const int32_t* rows, const int32_t* cols) {
    const Py_ssize_t* shape = values->shape;
    const size_t pixel = (size_t)(shape[3] * values->itemsize);
    const uint8_t* from = values->buf;
    for (Py_ssize_t n = 0; n < shape[0]; n++) {
        for (Py_ssize_t i = 0; i < shape[1]; i++, from += (size_t)shape[2] * pixel) {
            uint8_t* row = (uint8_t*)out->buf + n * out->strides[0] + rows[i] * out->strides[1];
            place_row(from, cols, shape[2], row, pixel);
        }
    }
}

static PyObject* module_place(PyObject* module, PyObject* args) {
    (void)module;
    PyObject *values_object, *out_object, *result = NULL;
    Py_buffer values = {0}, out = {0}, rows, cols;
    if (!PyArg_ParseTuple(args, "OOy*y*", &values_object, &out_object, &rows, &cols)) return NULL;
    if (PyObject_GetBuffer(values_object, &values, PyBUF_C_CONTIGUOUS) == 0 &&
        PyObject_GetBuffer(out_object, &out, PyBUF_STRIDES | PyBUF_WRITABLE) == 0) {
        if (check_places(&values, &out, &rows, &cols)) {
            Py_BEGIN_ALLOW_THREADS
            place_images(&values, &out, rows.buf, cols.buf);
            Py_END_ALLOW_THREADS
            result = Py_NewRef(Py_None);
        } else {
            PyErr_SetString(PyExc_ValueError,
                            "values and out must be (N, H, W, C) of the same item, out contiguous inside a row, and "
                            "rows and cols indices inside out, one for each row and column of values");
        }
    }
    if (values.obj != NULL) PyBuffer_Release(&values);
    if (out.obj != NULL) PyBuffer_Release(&out);
    PyBuffer_Release(&rows);
    PyBuffer_Release(&cols);
    return result;
}

static PyObject* module_level(PyObject* module, PyObject* unused) {
    (void)unused;
    return PyUnicode_FromString(level_name(((State*)PyModule_GetState(module))->level));
}

static PyObject* module_levels(PyObject* module, PyObject* unused) {
    (void)module;
    (void)unused;
    PyObject* names = PyList_New(0);
    for (int i = LEVEL_COUNT - 1; i >= 0 && names != NULL; i--) {
        if (!level_supported((Level)i)) continue;
        PyObject* name = PyUnicode_FromString(level_name((Level)i));
        if (name == NULL || PyList_Append(names, name) != 0) Py_CLEAR(names);
        Py_XDECREF(name);
    }
    return names;
}

static PyObject* module_runs(PyObject* module, PyObject* unused) {
    (void)module;
    (void)unused;
    PyObject* counts = PyDict_New();
    for (int i = 0; i < IMPLEMENTATION_COUNT && counts != NULL; i++) {
        PyObject* count = PyLong_FromLongLong(implementation_runs(i));
        const char* name = IMPLEMENTATIONS[i].name;
        if (count == NULL || PyDict_SetItemString(counts, name, count) != 0) Py_CLEAR(counts);
        Py_XDECREF(count);
    }
    return counts;
}

#ifdef SECURE_RESIZE_TEST_HOOKS
static PyObject* module_fail_allocation(PyObject* module, PyObject* args) {
    (void)module;
    if (!PyArg_ParseTuple(args, "l", &alloc_fail_after)) return NULL;
    return PyLong_FromLong(alloc_live);
}
#endif

static PyMethodDef module_methods[] = {
    {"resizer", module_resizer, METH_VARARGS,
     "resizer(kind, rows, cols, rows_first, channels, itemsize, pixel, channel, level) -> Resizer"},
    {"run", module_run, METH_VARARGS,
     "run(resizer, image, out, num_threads, backwards): resize image (N, H, W, C) into out, its last channel first if "
     "backwards."},
    {"arrange", module_arrange, METH_VARARGS,
     "arrange(image, out, level): copy image (N, H, W, C), of any strides, to out."},
    {"place", module_place, METH_VARARGS, "place(values, out, rows, cols): out[:, rows[:, None], cols] = values."},
    {"select_median", module_select_median, METH_VARARGS,
     "select_median(image, out, rows, cols, half_rows, half_cols, level): reference.select_median of one "
     "image."},
    {"select_random", module_select_random, METH_VARARGS,
     "select_random(image, out, rows, cols, half_rows, half_cols, key, level): reference.select_random of one image."},
    {"fingerprint", module_fingerprint, METH_VARARGS, "fingerprint(data, key, hashes, level): reference.fingerprint."},
    {"second_difference", module_second_difference, METH_VARARGS,
     "second_difference(middle, left, right, above, below, height, width, channels, lines, energy)."},
    {"line_energy", module_line_energy, METH_VARARGS, "line_energy(lines, channels, energy)."},
    {"stand_out", module_stand_out, METH_VARARGS,
     "stand_out(lines or None, energy, near, height, width, channels, side, out)."},
    {"cut_off", module_cut_off, METH_VARARGS,
     "cut_off(components, height, width, to_rgb or None, inverse, halves, quarters, eighths) -> beyond."},
    {"worst_window", module_worst_window, METH_VARARGS,
     "worst_window(values, height, width, side) -> mean, row, column."},
    {"level", module_level, METH_NOARGS, "The instruction set in use: SECURE_RESIZE_SIMD, or the best there is."},
    {"levels", module_levels, METH_NOARGS, "The instruction sets of this machine, best first."},
    {"runs", module_runs, METH_NOARGS,
     "How often each implementation of a resize, and of a selective filter's steps, has run in this process."},
#ifdef SECURE_RESIZE_TEST_HOOKS
    {"fail_allocation", module_fail_allocation, METH_VARARGS,
     "Fail the allocation after k more (negative: never); returns how many allocations are live."},
#endif
    {NULL, NULL, 0, NULL},
};

static int module_exec(PyObject* module) {
    State* state = PyModule_GetState(module);
    state->level = level_best();
    const char* wanted = getenv("SECURE_RESIZE_SIMD");
    if (wanted != NULL && *wanted != '\0' && !parse_level(wanted, &state->level)) {
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        PyErr_Format(PyExc_ImportError, "SECURE_RESIZE_SIMD: %S", value);
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
        return -1;
    }
    /* What Python has under names of its own; tests hold them equal. */
    const struct {
        const char* name;
        long value;
    } constants[] = {{"PRECISION_BITS", PRECISION_BITS},
                     {"MAX_AXIS", MAX_AXIS},
                     {"MAX_WINDOW", MAX_WINDOW},
                     {"TWICE_LIMIT", TWICE_LIMIT},
                     {"FINGERPRINT_BLOCK", FINGERPRINT_BLOCK}};
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
        if (PyModule_AddIntConstant(module, constants[i].name, constants[i].value) != 0) return -1;
    }
    state->resizer_type = (PyTypeObject*)PyType_FromModuleAndSpec(module, &resizer_spec, NULL);
    return state->resizer_type == NULL ? -1 : PyModule_AddType(module, state->resizer_type);
}

static int module_traverse(PyObject* module, visitproc visit, void* arg) {
    State* state = PyModule_GetState(module);
    Py_VISIT(state->resizer_type);
    return 0;
}

static int module_clear(PyObject* module) {
    State* state = PyModule_GetState(module);
    Py_CLEAR(state->resizer_type);
    return 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_native",
    .m_doc = "Robust resizing in C; the names that count are in secure_resize.core.native.",
    .m_size = sizeof(State),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&module_definition); }
