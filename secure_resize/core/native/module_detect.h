/* The detectors' functions for Python, for the table in module.c. */
#ifndef SECURE_RESIZE_MODULE_DETECT_H
#define SECURE_RESIZE_MODULE_DETECT_H

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>

PyObject* module_second_difference(PyObject* module, PyObject* args);
PyObject* module_line_energy(PyObject* module, PyObject* args);
PyObject* module_stand_out(PyObject* module, PyObject* args);
PyObject* module_cut_off(PyObject* module, PyObject* args);
PyObject* module_worst_window(PyObject* module, PyObject* args);

#endif
