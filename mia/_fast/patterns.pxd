"""Bar patterns; patterns.pyx tells how they are read."""

from mia._fast.records cimport Bar


# strength[4] receives LDU, LUD, CDS, CUS of the bar just closed, 0 where absent.
cdef void detect(
    const Bar* last, Py_ssize_t count, double vol_ref, double leg, double leg_color,
    bint strict, double* strength,
) noexcept nogil
