"""Layers written out, forward and backward, as a person would write their own.

They compute what the layers of torch do. Copy one into a folder of yours, change it, and open that
with `nodegraph edit --nodes FOLDER`.
"""

from typing import Any

from nodegraph.node import Axes, Input, Layer, Mismatch, Output, Param, Shape

OWN = "own layers"


class CustomReLU(Layer):
    """The rectifier, written out: y = max(0, x); dx = dy where x > 0.

    Fukushima, 1969. Any shape. The same as ReLU.
    """

    category = OWN
    aliases = ("own layer", "written ReLU", "autograd.Function", "свой слой")
    x = Input("...")
    y = Output("...")

    def forward(self, x: Any) -> Any:
        return x.clamp_min(0)

    def backward(self, dy: Any, x: Any, y: Any) -> Any:
        return dy * (x > 0)


class CustomLinear(Layer):
    """The matrix product, written out: y = x Wᵀ + b; dx = dy W, dW = dyᵀ x, db = Σ dy.

    Rosenblatt, 1958. N D → N features. The same as Linear.
    """

    category = OWN
    aliases = ("own layer", "written matrix product", "autograd.Function", "свой слой")
    x = Input("N D")
    y = Output("N features")
    features: int = Param(min=1, max=1_000_000)

    def weights(self, at: Axes) -> dict[str, Shape]:
        return {"weight": (self.features, at.D), "bias": (self.features,)}

    def multiply_adds(self, at: Axes, out: Shape) -> int:
        return at.N * at.D * self.features

    def forward(self, x: Any, weight: Any, bias: Any) -> Any:
        return x @ weight.T + bias

    def backward(self, dy: Any, x: Any, weight: Any, bias: Any, y: Any) -> Any:
        return dy @ weight, dy.T @ x, dy.sum(0)


class CustomConv2d(Layer):
    """The generalised convolution as one matrix product over all windows (im2col), written out.

    V(x,y,t) = Σ K(i,j,s,t) · U(x+i,y+j,s) + b(t). The windows are the columns of a matrix P, so
    V = K P; dU folds Kᵀ dV back onto the image, dK = dV Pᵀ.

    LeCun et al., 1998. N C H W → N channels H' W'. The same as Conv2d.
    """

    category = OWN
    aliases = ("own layer", "im2col", "unfold", "autograd.Function", "свой слой")
    x = Input("N C H W")
    y = Output("N channels H' W'")
    channels: int = Param(min=1, max=65536, doc="output maps")
    kernel: int = Param(min=1, max=1024, unit="px")
    padding: int = Param(0, min=0, max=1024, unit="px")

    def sizes(self, at: Axes) -> dict[str, int]:
        high, wide = (n + 2 * self.padding - self.kernel + 1 for n in (at.H, at.W))
        if min(high, wide) < 1:
            raise Mismatch(f"a kernel of {self.kernel} is larger than {at.H}×{at.W}")
        return {"H'": high, "W'": wide}

    def weights(self, at: Axes) -> dict[str, Shape]:
        weight = self.channels, at.C, self.kernel, self.kernel
        return {"weight": weight, "bias": (self.channels,)}

    def multiply_adds(self, at: Axes, out: Shape) -> int:
        return out[0] * out[1] * out[2] * out[3] * at.C * self.kernel**2

    def forward(self, x: Any, weight: Any, bias: Any) -> Any:
        from torch.nn import functional

        windows = functional.unfold(x, self.kernel, padding=self.padding)  # N C·k·k H'·W'
        y = weight.flatten(1) @ windows + bias[:, None]  # N channels H'·W'
        high = x.shape[2] + 2 * self.padding - self.kernel + 1
        return y.view(*y.shape[:2], high, -1)

    def backward(self, dy: Any, x: Any, weight: Any, bias: Any, y: Any) -> Any:
        from torch.nn import functional

        windows = functional.unfold(x, self.kernel, padding=self.padding)
        rows = dy.flatten(2)  # N channels H'·W'
        back = weight.flatten(1).T @ rows
        dx = functional.fold(back, x.shape[2:], self.kernel, padding=self.padding)
        dw = (rows @ windows.transpose(1, 2)).sum(0).view_as(weight)
        return dx, dw, rows.sum((0, 2))


class CustomMaxPool2d(Layer):
    """The largest value in each square of kernel × kernel, written out; the gradient goes to it.

    Riesenhuber & Poggio, 1999. N C H W → N C H' W'; what is left at the far sides is cut off. The
    same as MaxPool2d.
    """

    category = OWN
    aliases = ("own layer", "argmax", "autograd.Function", "свой слой")
    x = Input("N C H W")
    y = Output("N C H' W'")
    kernel: int = Param(2, min=1, max=1024, unit="px")

    def sizes(self, at: Axes) -> dict[str, int]:
        if self.kernel > min(at.H, at.W):
            raise Mismatch(f"a kernel of {self.kernel} is larger than {at.H}×{at.W}")
        return {"H'": at.H // self.kernel, "W'": at.W // self.kernel}

    def squares(self, x: Any) -> Any:
        """Each square in a row: N C H' W' k·k."""
        k = self.kernel
        high, wide = x.shape[2] // k, x.shape[3] // k
        cut = x[:, :, : high * k, : wide * k]
        return cut.unfold(2, k, k).unfold(3, k, k).flatten(4)

    def forward(self, x: Any) -> Any:
        return self.squares(x).amax(4)

    def backward(self, dy: Any, x: Any, y: Any) -> Any:
        import torch

        first = self.squares(x).argmax(4, keepdim=True)
        at = torch.zeros_like(self.squares(x)).scatter_(4, first, dy[..., None])
        k, (n, c, high, wide) = self.kernel, dy.shape
        rows = at.view(n, c, high, wide, k, k).transpose(3, 4).reshape(n, c, high * k, wide * k)
        dx = torch.zeros_like(x)
        dx[:, :, : high * k, : wide * k] = rows
        return dx


class CustomReversal(Layer):
    """The lecture's gradient reversal, written out: y = x; dx = −λ dy.

    Ganin & Lempitsky, Unsupervised Domain Adaptation by Backpropagation, ICML 2015. Any shape. The
    same as GradientReversal.
    """

    category = OWN
    reverses_gradient = True
    gradient_times = "-strength"
    aliases = ("own layer", "written reversal", "autograd.Function", "свой слой")
    x = Input("...")
    strength = Input("", default=1.0, kind="scalar", min=0.0)
    y = Output("...")

    def forward(self, x: Any, strength: Any) -> Any:
        return x.clone()

    def backward(self, dy: Any, x: Any, strength: Any, y: Any) -> Any:
        return -strength * dy, None


class CustomSampler(Layer):
    """Reads an image between its pixels, bilinearly, written out with the slide's derivatives.

    V(p) = Σ U(n,m) · max(0, 1 − |x − m|) · max(0, 1 − |y − n|), over the four pixels around p; dU
    spreads dV over them with the same weights, dx and dy take the differences between them. The
    grid N H' W' 2 holds x, then y, −1 and 1 being the outer edges; outside, the image is 0.

    Jaderberg et al., Spatial Transformer Networks, NIPS 2015. N C H W → N C H' W'.
    """

    category = OWN
    aliases = ("own layer", "written sampler", "autograd.Function", "свой слой")
    x = Input("N C H W", kind="image")
    grid = Input("N I J 2")
    y = Output("N C I J", kind="image")

    def corners(self, image: Any, grid: Any) -> Any:
        """For each of the four pixels around a point: where it lies in a row of all pixels, whether
        it lies inside, its two weights, and the signs of their slopes."""
        high, wide = image.shape[2:]
        x = (grid[..., 0] + 1) * wide / 2 - 0.5  # N I J, in pixels
        y = (grid[..., 1] + 1) * high / 2 - 0.5
        left, top = x.floor(), y.floor()
        for down in (0, 1):
            for across in (0, 1):
                m, n = left + across, top + down
                inside = (m >= 0) & (m < wide) & (n >= 0) & (n < high)
                place = n.clamp(0, high - 1).long() * wide + m.clamp(0, wide - 1).long()
                by_x, by_y = 1 - (x - m).abs(), 1 - (y - n).abs()
                yield place.flatten(1)[:, None], inside, by_x, by_y, 2 * across - 1, 2 * down - 1

    def forward(self, image: Any, grid: Any) -> Any:
        n, c = image.shape[:2]
        y = 0
        for place, inside, by_x, by_y, _, _ in self.corners(image, grid):
            pixel = image.flatten(2).gather(2, place.expand(n, c, -1)).view(n, c, *grid.shape[1:3])
            y = y + pixel * (inside * by_x * by_y)[:, None]
        return y

    def backward(self, dy: Any, image: Any, grid: Any, y: Any) -> Any:
        import torch

        n, c, high, wide = image.shape
        flat, d_image = image.flatten(2), torch.zeros_like(image).flatten(2)
        dx, dv = torch.zeros_like(grid[..., 0]), torch.zeros_like(grid[..., 0])
        for place, inside, by_x, by_y, right, below in self.corners(image, grid):
            place = place.expand(n, c, -1)
            d_image.scatter_add_(2, place, (dy * (inside * by_x * by_y)[:, None]).flatten(2))
            slope = (flat.gather(2, place).view_as(dy) * dy).sum(1) * inside  # N I J
            dx += slope * by_y * right
            dv += slope * by_x * below
        d_grid = torch.stack([dx * wide / 2, dv * high / 2], 3)
        return d_image.view_as(image), d_grid
