"""Right solutions of the coding exercises, written without diffkit."""

SOLUTIONS = {
    14: """
def gradient_descent(gradient, start, rate, steps):
    weights = [start]
    for _ in range(steps):
        weights.append(weights[-1] - rate * gradient(weights[-1]))
    return weights
""",
    15: """
import numpy as np

def numerical_gradient(f, w, h):
    gradient = np.zeros_like(w)
    for place in np.ndindex(w.shape):
        up, down = w.copy(), w.copy()
        up[place] += h
        down[place] -= h
        gradient[place] = (f(up) - f(down)) / (2 * h)
    return gradient
""",
    16: """
import numpy as np

def backward(W1, b1, W2, b2, x, y):
    z1 = x @ W1 + b1
    a1 = np.maximum(z1, 0)
    dz2 = 1 / (1 + np.exp(-(a1 @ W2 + b2))) - y
    dz1 = dz2 * W2 * (z1 > 0)
    return np.outer(x, dz1), dz1, dz2 * a1, dz2
""",
    17: """
import numpy as np

def train(x, y, rate, steps):
    w, b = 0.0, 0.0
    for _ in range(steps):
        miss = w * x + b - y
        w, b = w - rate * 2 * np.mean(miss * x), b - rate * 2 * np.mean(miss)
    return w, b
""",
    18: """
import numpy as np

def score_gradient(z, label):
    shifted = np.exp(z - z.max())
    p = shifted / shifted.sum()
    p[label] -= 1
    return p
""",
    19: """
def reverse(program, inputs):
    values = list(inputs)
    for what, i, j in program:
        values.append(values[i] + values[j] if what == "add" else values[i] * values[j])
    back = [0.0] * len(values)
    back[-1] = 1.0
    for place in range(len(values) - 1, len(inputs) - 1, -1):
        what, i, j = program[place - len(inputs)]
        one, other = (1.0, 1.0) if what == "add" else (values[j], values[i])
        back[i] += back[place] * one
        back[j] += back[place] * other
    return back[: len(inputs)]
""",
}
