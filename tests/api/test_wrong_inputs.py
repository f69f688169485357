"""What a notebook user may give by mistake ends in one clear line."""

import numpy as np
import pytest

import taskct


@pytest.fixture(scope="module")
def trials():
    n = {"n_train": 32, "n_validation": 32, "n_fresh": 32, "n_test": 32}
    return taskct.simulate("smoke", trials=n)["train"]


@pytest.fixture(scope="module")
def trained(trials):
    network = taskct.denoisers.ResidualCNN(n_layers=2, n_channels=2)
    return taskct.pretrain(network, trials, plan=taskct.Plan(epochs=1))


def refuse(message, call):
    with pytest.raises(taskct.UserError, match=message) as caught:
        call()
    assert len(str(caught.value).splitlines()) == 1


def test_one_thing_in_the_place_of_another(trials, trained):
    loss = taskct.append_head(trained.denoiser, trials)
    denoiser = trained.denoiser
    refuse(r"must be a Denoiser, not a Trained; give its `denoiser`", lambda: taskct.append_head(trained, trials))
    refuse(r"not a Trained; give its `denoiser`", lambda: taskct.finetune(trained, loss, trials, 0.5))
    refuse(r"loss must be a Loss, not a NoneType", lambda: taskct.finetune(denoiser, None, trials, 0.5))
    refuse(r"trials must be a Trials, not a SLNNLoss", lambda: taskct.finetune(denoiser, trials, loss, 0.5))
    refuse(r"trials must be a Trials, not a ndarray", lambda: taskct.pretrain(denoiser, trials.noisy))
    refuse(r"trials must be a Trials, not a Plan", lambda: taskct.pretrain(denoiser, trials, taskct.Plan()))
    refuse(r"the network must be a Module, not a str", lambda: taskct.pretrain("dncnn", trials))
    refuse(r"the denoiser is a str: give a torch\.nn\.Module", lambda: taskct.denoise("model", trials.noisy))


def test_numbers_and_names(trials, trained):
    loss = taskct.append_head(trained.denoiser, trials)
    refuse(r"task_weight \(λ\) is '0\.9'; it must be", lambda: taskct.finetune(trained.denoiser, loss, trials, "0.9"))
    refuse(r"learning_rate is 'fast'; it must be above 0", lambda: taskct.Plan(learning_rate="fast"))
    refuse(r"device gpu", lambda: taskct.pretrain(trained.denoiser, trials, plan=taskct.Plan(device="gpu")))
    refuse(r"scanner=\{'dose_fraction': 0\.5\}", lambda: taskct.simulate("smoke", **{"scanner.dose_fraction": 0.5}))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_images_that_are_not_finite(trials, trained, value):
    images = np.array(trials.noisy)
    images[3, 2, 2] = value
    refuse("no finite real number", lambda: taskct.denoise(trained.denoiser, images))
    refuse("no finite real number", lambda: taskct.denoise(trained.denoiser, images.astype(complex)))


def test_representations_are_one_line(trials, trained):
    assert repr(trained).startswith("Trained(ResidualCNN by MSE, 1 epochs, last RMSE")
    assert "SLNNHead('pixel', 32×32, 1024 weights)" in repr(taskct.append_head(trained.denoiser, trials))
