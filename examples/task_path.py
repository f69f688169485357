# %% [markdown]
# # One dial: a task path with a price in RMSE
#
# A denoiser that was trained by mean squared error (MSE) to the end is frozen: the control f₀. A second, small network
# Δ sees the low-dose image and the control's, and is trained for the task at a price in RMSE. The denoiser is
# f = f₀ + a·Δ, and since the error of f₀ is orthogonal to functions of the image, the price of a strength a is known:
# MSE(a) = MSE₀ + a²·E[Δ²]. One training, every price. About two minutes on two cores.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

import taskct
from taskct.denoisers import ContextCNN
from taskct.metrics import delong_interval, mse_hu2, paired_delong, rmse_hu

# %% [markdown]
# Discs of 4 to 6.5 mm in a torso at a quarter of the dose. The splits share no background.

# %%
trials = taskct.simulate("demo", trials={"n_train": 3000, "n_validation": 300, "n_fresh": 3000, "n_test": 1500})
train, validation, fresh, test = (trials[name] for name in ("train", "validation", "fresh", "test"))

# %%
torch.manual_seed(0)  # the weights that the network starts from
control = taskct.pretrain(
    ContextCNN(n_layers=3, n_channels=16), train, validation, taskct.Plan(epochs=8, learning_rate=3e-3)
)
path = taskct.train_path(control.denoiser, train, validation, taskct.Plan(epochs=8, learning_rate=3e-3)).denoiser
print(path.square)

# %% [markdown]
# Two observers judge the images: one that is fitted afresh to each kind of image, and one that was fitted to the
# control's images and is applied unchanged. A gain of the first alone may be a code that only it reads; what the second
# gains was made plainer.

# %%
prices = (0.0, 0.01, 0.02, 0.05, 0.1)
scores, unchanged = {}, {}
for price in prices:
    path.price = price
    learn, images = (taskct.denoise(path, t.noisy, margin=t.margin) for t in (fresh, test))
    observer = taskct.make_observer("ho").fit(learn, fresh.signal_present)
    if price == 0.0:
        of_control, base = observer, rmse_hu(mse_hu2(images, test.reference_regions))
    scores[price], unchanged[price] = observer.test_statistic(images), of_control.test_statistic(images)
    t = scores[price][test.signal_present], scores[price][~test.signal_present]
    auc, rmse = delong_interval(*t), rmse_hu(mse_hu2(images, test.reference_regions))
    print(f"{price:4.0%} AUC {auc.value:.3f} [{auc.ci_low:.3f}, {auc.ci_high:.3f}]   RMSE × {rmse / base:.3f}")

# %%
for name, found in (("fitted afresh", scores), ("of the control", unchanged)):
    both = np.stack([found[0.05], found[0.0]])
    gain = paired_delong(both[:, test.signal_present], both[:, ~test.signal_present])
    print(f"5 % against the control, observer {name}: {gain.delta_auc:+.3f} [{gain.ci_low:+.3f}, {gain.ci_high:+.3f}]")

# %%
pictures = {}
for price in (0.0, 0.05):
    path.price = price
    pictures[f"price {price:.0%}"] = taskct.denoise(path, test.noisy, margin=test.margin)
test.plot(4, images=pictures)
plt.show()
