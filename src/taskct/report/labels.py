"""Arms and observers as the page names them."""

from taskct.observer_registry import page_labels

OBSERVERS = page_labels()
"""Observer names in the files and on the page, in the page's order."""


def observer_label(observer: str) -> str:
    """Name an observer as the page does.

    >>> observer_label("ho"), observer_label("my_observer")
    ('fresh HO', 'my_observer')
    """
    return OBSERVERS.get(observer, observer)


def arm_label(name: str) -> str:
    """Name an arm as the page does.

    Its spaces inside a symbol's value do not break across lines.

    >>> arm_label("lambda=0.9 alpha=0.2").replace("\N{NO-BREAK SPACE}", " "), arm_label("mse")
    ('λ = 0.9, α = 0.2', 'MSE')
    >>> arm_label("low-dose seed=1").replace("\N{NO-BREAK SPACE}", " ")
    'low-dose images, seed 1'
    """
    fixed = {"low-dose": "low-dose images", "mse": "MSE"}
    words = []
    for word in name.split():
        key, equals, value = word.partition("=")
        if word in fixed:
            words.append(fixed[word])
        elif key == "seed" and equals:
            words.append(f"seed\N{NO-BREAK SPACE}{value}")
        elif key == "head" and equals:
            words.append(f"{value} head")
        elif key in ("lambda", "alpha") and equals:
            words.append(f"{'λ' if key == 'lambda' else 'α'}\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{value}")
        else:
            words.append(word)
    return ", ".join(words)
