"""Curvature measured through products Hv, with standard errors: trace, diagonal, extreme eigenvalue, step."""

from nalr.curvature.directional import DirectionalCurvature as DirectionalCurvature
from nalr.curvature.directional_reading import DirectionalReading as DirectionalReading
from nalr.curvature.directional_reading import DirectionalStatus as DirectionalStatus
from nalr.curvature.finite_difference import FiniteDifferenceProduct as FiniteDifferenceProduct
from nalr.curvature.finite_difference import finite_difference_hvp as finite_difference_hvp
from nalr.curvature.hutch_plus_plus import HutchPlusPlusEstimator as HutchPlusPlusEstimator
from nalr.curvature.hutchinson import HutchinsonEstimator as HutchinsonEstimator
from nalr.curvature.lanczos import EigenvalueReading as EigenvalueReading
from nalr.curvature.lanczos import EigenvalueStatus as EigenvalueStatus
from nalr.curvature.lanczos import largest_eigenvalue as largest_eigenvalue
from nalr.curvature.probe_average import ProbeAverage as ProbeAverage
from nalr.curvature.probes import normal as normal
from nalr.curvature.probes import rademacher as rademacher
from nalr.curvature.readings import DiagonalReading as DiagonalReading
from nalr.curvature.readings import TraceReading as TraceReading
from nalr.curvature.readings import TraceStatus as TraceStatus
