"""Images as text, so that a record can hold the few that a notebook shows."""

import base64
from io import BytesIO

from PIL import Image
from torch import Tensor


def png_text(picture: Tensor) -> str:
    """An image (c, H, W), uint8, with one or three channels, as the base64 text of a PNG."""
    values = picture.permute(1, 2, 0).squeeze(2).cpu().numpy()  # (H, W) or (H, W, 3)
    file = BytesIO()
    Image.fromarray(values).save(file, format="png")
    return base64.b64encode(file.getvalue()).decode()
