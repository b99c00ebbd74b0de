# SPDX-License-Identifier: Apache-2.0
"""PyTorch's tensors, where it is installed."""

import numpy
import pytest

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def tensor(pixels):
    return torch.from_numpy(pixels.copy())


def test_layouts_of_tensors(clf, tensor, pixels):
    answer = clf(pixels)
    assert clf(tensor) == answer
    assert clf(tensor.permute(2, 0, 1)) == answer  # strides alone are another
    assert clf(tensor.permute(2, 0, 1).contiguous()) == answer
    assert clf(tensor.permute(2, 0, 1)[None].contiguous(memory_format=torch.channels_last)) == [answer]
    assert clf(torch.stack([tensor, tensor])) == [answer, answer]
    assert clf([tensor, pixels]) == [answer, answer]
    assert clf(tensor[..., :1].expand(-1, -1, 3)) == clf(pixels[..., :1])


def test_floats(clf, tensor, pixels):
    scaled = tensor.to(torch.float32) / 255
    assert clf(scaled) == clf(pixels)
    assert clf(scaled.requires_grad_()) == clf(pixels)
    assert (clf.features([scaled.double()]) == clf.features([pixels])).all()
    assert (clf.predict_proba(scaled.permute(2, 0, 1)) == clf.predict_proba(pixels)).all()


def test_a_batch_of_a_data_loader(clf, photos, answers):
    class Photos(torch.utils.data.Dataset):
        def __len__(self):
            return len(photos)

        def __getitem__(self, index):
            return numpy.fromfile(photos[index], numpy.uint8), index

    loader = torch.utils.data.DataLoader(Photos(), batch_size=2, collate_fn=list)
    found = [result for batch in loader for result in clf([file for file, _ in batch])]
    assert found == [one[:3] for one in answers]
