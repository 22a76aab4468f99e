"""The training loop that the lesson annotates, line by line."""

import numpy as np

from diffkit import losses, nn, optim, train, transform


def learn(epochs=20, batch=20, rate=0.02, seed=0):
    """Train a network on iris: its best weights, its losses."""
    rng = np.random.default_rng(seed)
    flowers = train.data.iris()
    x, y = flowers.train

    net = nn.mlp((4, 16, 3), "tanh", initializer="xavier")
    params = best = net.init(rng)
    optimizer = optim.adam(rate)
    state = optimizer.init(params)

    def loss(params, x, y):
        return losses.cross_entropy(net.apply(params, x), y)

    value_and_grad = transform.value_and_grad(loss, backend="autodiff")
    lowest, curve = loss(params, *flowers.test), []
    for _ in range(epochs):
        order = rng.permutation(len(x))
        for rows in np.split(order, range(batch, len(x), batch)):
            value, gradient = value_and_grad(params, x[rows], y[rows])
            curve.append(float(value))
            updates, state = optimizer.update(gradient, state, params)
            params = optim.apply_updates(params, updates)
        unseen = loss(params, *flowers.test)
        if unseen < lowest:
            best, lowest = params, unseen
    return best, curve
