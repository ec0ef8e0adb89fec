"""The methods that scikit-learn requires of the last step of a Pipeline."""

from __future__ import annotations

from typing import Any, TypeVar

E = TypeVar("E", bound="FittedEstimator")


class FittedEstimator:
    """A model whose parameters are fixed, as a step of a scikit-learn Pipeline.

    As with sklearn.frozen.FrozenEstimator, `fit` has no effect, and `sklearn.base.clone` returns
    the model itself.
    """

    def fit(self: E, rows: Any = None, targets: Any = None) -> E:
        """Return the model itself; nothing is trained.

        A Pipeline calls this method after it has fitted the steps before.

        rows, targets: not used
        """
        return self

    def __sklearn_is_fitted__(self) -> bool:
        # Asked by scikit-learn up to 1.5; later versions ask for the tag `requires_fit`.
        return True

    def __sklearn_clone__(self: E) -> E:
        return self

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=False),
            input_tags=InputTags(sparse=True),
            requires_fit=False,
        )
