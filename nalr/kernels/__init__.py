"""Floor 0: compiled loops over arrays. Arrays and scalars in, scalars out; no classes, no checks.

Import a kernel from its own module, and only from a module that is about to use it: importing this
package loads numba, which takes a quarter of a second.
"""
