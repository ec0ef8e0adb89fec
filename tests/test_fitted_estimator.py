"""A Predictor is the last step of a scikit-learn Pipeline; nothing trains it."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import kkspdnn as kk
from tests.test_predictor import random_network, random_rows


@pytest.fixture(scope="module")
def predict() -> kk.Predictor:
    return kk.Predictor(random_network())


@pytest.fixture(scope="module")
def sklearn() -> Any:
    """The modules of scikit-learn that the tests use."""
    reason = "no scikit-learn: pip install scikit-learn"
    loaded = pytest.importorskip("sklearn", reason=reason)
    for name in ("base", "frozen", "pipeline", "preprocessing", "utils.validation"):
        pytest.importorskip(f"sklearn.{name}", reason=reason)
    return loaded


ROWS = random_rows(200, 70)


def test_fit_has_no_effect(predict: kk.Predictor) -> None:
    expected = predict(ROWS)
    for arguments in ((), (ROWS,), (ROWS, np.zeros(200)), (None, None)):
        assert predict.fit(*arguments) is predict
    assert (predict.predict(ROWS) == expected).all()
    assert predict.n_features_in_ == 70


def test_a_pipeline_of_fitted_steps(predict: kk.Predictor, sklearn: Any) -> None:
    scaler = sklearn.preprocessing.StandardScaler().fit(ROWS)
    pipeline = sklearn.pipeline.make_pipeline(scaler, predict)
    expected = predict(scaler.transform(ROWS))
    assert (pipeline.predict(ROWS) == expected).all()
    assert (pipeline.predict(ROWS.astype(np.float64)).shape) == expected.shape
    assert pipeline.n_features_in_ == 70
    assert "Predictor" in repr(pipeline)
    assert "Predictor" in pipeline._repr_html_()
    copied = pickle.loads(pickle.dumps(pipeline))
    assert (copied.predict(ROWS) == expected).all()


def test_a_pipeline_fits_the_other_steps_only(predict: kk.Predictor, sklearn: Any) -> None:
    expected = predict(sklearn.preprocessing.StandardScaler().fit_transform(ROWS))
    for last in (predict, sklearn.frozen.FrozenEstimator(predict)):
        pipeline = sklearn.pipeline.make_pipeline(sklearn.preprocessing.StandardScaler(), last)
        assert (pipeline.fit(ROWS, np.zeros(200)).predict(ROWS) == expected).all()


def test_a_pipeline_whose_other_steps_are_not_fitted(predict: kk.Predictor, sklearn: Any) -> None:
    """scikit-learn's own error."""
    scaler = sklearn.preprocessing.StandardScaler()
    with pytest.raises(sklearn.exceptions.NotFittedError, match="not fitted"):
        sklearn.pipeline.make_pipeline(scaler, predict).predict(ROWS)


def test_a_clone_is_the_predictor_itself(predict: kk.Predictor, sklearn: Any) -> None:
    assert sklearn.base.clone(predict) is predict
    pipeline = sklearn.pipeline.make_pipeline(sklearn.preprocessing.StandardScaler(), predict)
    assert sklearn.base.clone(pipeline)[-1] is predict


def test_it_is_fitted(predict: kk.Predictor, sklearn: Any) -> None:
    sklearn.utils.validation.check_is_fitted(predict)
    assert not sklearn.base.is_classifier(predict)
    assert not sklearn.base.is_regressor(predict)
    assert not hasattr(predict, "predict_proba")


def test_a_pipeline_with_rows_of_another_width(predict: kk.Predictor, sklearn: Any) -> None:
    scaler = sklearn.preprocessing.StandardScaler().fit(ROWS[:, :9])
    with pytest.raises(kk.InputError, match="the input rows have 9 neurons but the network takes"):
        sklearn.pipeline.make_pipeline(scaler, predict).predict(ROWS[:, :9])
