from __future__ import annotations

import pytest

from faceaug.data.folder import FaceFolder
from tests.conftest import picture, write_celeba


@pytest.fixture(scope="session")
def celeba_folder(tmp_path_factory: pytest.TempPathFactory) -> FaceFolder:
    """Twenty pictures of ten people, in three partitions."""
    return FaceFolder(write_celeba(tmp_path_factory.mktemp("people") / "faces", [picture(k) for k in range(20)]))
