"""Settings and points are checked."""

from __future__ import annotations

import inspect
import math

import numpy as np
import pytest

from nalr.landscapes import Landscape, create_noisy_landscape


class TestDoor:
    def test_the_description_example_makes_sense(self):
        landscape = create_noisy_landscape(dim=2, noise_scale=0.5)
        loss, gradient = landscape.compute_loss_and_grad(np.array([3.0, 3.0]))
        assert isinstance(landscape, Landscape) and isinstance(loss, float) and gradient.shape == (2,)
        np.testing.assert_array_equal(landscape.gradient([3.0, 3.0]), [3.0, 3.0])
        assert landscape.true_loss([3.0, 3.0]) == 9.0
        assert (landscape.dim, landscape.noise_scale, landscape.kind) == (2, 0.5, "quadratic")
        assert landscape.name == "quadratic, dim 2, gaussian noise 0.5"

    VALUES = [
        ({"dim": 0}, "`dim` must be a whole number of at least 1, got 0"),
        ({"noise_scale": -0.1}, "`noise_scale` must be non-negative and finite, got -0.1"),
        ({"noise_scale": math.inf}, "`noise_scale` must be non-negative and finite, got inf"),
        ({"noise_scale": math.nan}, "`noise_scale` must be non-negative and finite, got nan"),
        ({"seed": -1}, "`seed` must be a whole number of at least 0, got -1"),
        ({"kind": "bowl"}, "`kind` must be one of 'quadratic', 'rugged', .*'drifting', got 'bowl'"),
        ({"noise": "pink"}, "`noise` must be one of 'gaussian', 'student_t', .*, got 'pink'"),
        ({"noise_covariance": "full"}, "`noise_covariance` must be one of 'identity', 'hessian', got 'full'"),
        (
            {"kind": "rugged", "noise_covariance": "hessian"},
            "needs kind 'quadratic' or 'drifting', got kind 'rugged'",
        ),
        ({"noise": "multiplicative", "noise_covariance": "hessian"}, "got 'multiplicative'"),
        ({"loss_noise": -1.0}, "`loss_noise` must be non-negative and finite, got -1.0"),
        (
            {"noise": "student_t", "degrees_of_freedom": 2},
            "`degrees_of_freedom` must be greater than 2 and finite",
        ),
        ({"noise": "spikes", "spike_probability": 1.5}, r"`spike_probability` must be in \[0, 1\], got 1.5"),
        ({"noise": "spikes", "spike_size": 0.5}, "`spike_size` must be at least 1 and finite, got 0.5"),
        ({"spectrum": [1.0]}, r"`spectrum` must have shape \(2,\), got shape \(1,\)"),
        ({"spectrum": [1.0, -1.0]}, "`spectrum` must be non-negative"),
        ({"spectrum": [0.0, 0.0]}, "with one positive value"),
        ({"spectrum": [1.0, math.nan]}, "`spectrum` must be finite"),
        ({"spectrum": [1.0, 2.0], "condition": 5.0}, "give one of them"),
        ({"condition": 0.5}, "`condition` must be at least 1 and finite, got 0.5"),
        ({"optimum": [1.0, 2.0, 3.0]}, r"`optimum` must have shape \(2,\), got shape \(3,\)"),
        ({"kind": "rugged", "amplitude": -1.0}, "`amplitude` must be non-negative and finite"),
        ({"kind": "rugged", "frequency": 0.0}, "`frequency` must be positive and finite"),
        ({"kind": "double_well", "tilt": 0.4}, r"`tilt` must be in \(0, 2/√27\), got 0.4"),
        ({"kind": "rosenbrock", "dim": 1}, "`dim` must be at least 2 for kind 'rosenbrock', got 1"),
        ({"kind": "beale", "dim": 3}, "`dim` must be 2 for kind 'beale', got 3"),
        ({"kind": "drifting", "drift": [1.0]}, r"`drift` must have shape \(2,\), got shape \(1,\)"),
        ({"kind": "drifting", "jump_every": 0}, "`jump_every` must be a whole number of at least 1, got 0"),
    ]

    @pytest.mark.parametrize("arguments, message", VALUES)
    def test_bad_values_raise_one_sentence(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            create_noisy_landscape(**arguments)

    TYPES = [
        ({"dim": 2.0}, "`dim` must be a whole number"),
        ({"seed": "a"}, "`seed` must be a whole number"),
        ({"rotate": 1}, "`rotate` must be True or False, got 1"),
        ({"spectrum": ["a", "b"]}, "`spectrum` must hold real numbers"),
        (
            {"frequency": 3.0},
            "`frequency` is not a setting of kind 'quadratic' with noise 'gaussian', which takes spectrum,",
        ),
        (
            {"kind": "rugged", "frequancy": 3.0},
            "which takes amplitude, frequency, curvature, noise, noise_covariance, loss_noise",
        ),
        ({"spike_size": 3.0}, "`spike_size` is not a setting .* noise 'gaussian'"),
    ]

    @pytest.mark.parametrize("arguments, message", TYPES)
    def test_wrong_types_and_unknown_settings_raise_type_error(self, arguments, message):
        with pytest.raises(TypeError, match=message):
            create_noisy_landscape(**arguments)

    @pytest.mark.parametrize(
        "method", ["sample", "compute_loss_and_grad", "sample_gradients", "gradient", "gradient_covariance"]
    )
    def test_wrong_shape_names_both(self, method):
        call = getattr(create_noisy_landscape(), method)
        extra = {"batch_size": 1} if "batch_size" in inspect.signature(call).parameters else {}
        with pytest.raises(ValueError, match=r"`params` must have shape \(2,\), got shape \(3,\)"):
            call(np.ones(3), **extra)

    def test_other_bad_arguments_are_named(self):
        landscape = create_noisy_landscape()
        with pytest.raises(ValueError, match=r"`params` must have shape \(\.\.\., 2\), got shape \(2, 3\)"):
            landscape.true_loss(np.ones((2, 3)))
        with pytest.raises(ValueError, match=r"`v` must have shape \(2,\), got shape \(1, 2\)"):
            landscape.hessian_vector(np.ones(2), np.ones((1, 2)))
        with pytest.raises(TypeError, match="`params` must hold real numbers, got dtype complex128"):
            landscape.gradient(np.ones(2) * 1j)
        with pytest.raises(ValueError, match="`batch_size` must be a whole number of at least 1, got 0"):
            landscape.sample(np.ones(2), 0)
        with pytest.raises(ValueError, match="`width` must be non-negative and finite, got -1.0"):
            landscape.smoothed_loss(np.ones(2), -1.0)

    def test_a_state_of_another_landscape_is_refused(self):
        state = create_noisy_landscape(3, kind="rugged").state_dict()
        with pytest.raises(
            ValueError, match="must come from kind 'quadratic' of dim 2, got kind 'rugged' of dim 3"
        ):
            create_noisy_landscape(2).load_state_dict(state)

    def test_what_is_handed_out_is_a_copy(self):
        landscape = create_noisy_landscape(2)
        landscape.optimum[:] = 7.0
        np.testing.assert_array_equal(landscape.optimum, [0.0, 0.0])
