from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from faceaug.clean import clean_folder
from faceaug.data.annotations import attribute_index
from faceaug.data.folder import FaceFolder
from faceaug.data.image import encode_png
from faceaug.data.layouts.celeba_hq import LABELS
from faceaug.errors import AnnotationError, RefusedError
from tests.conftest import picture
from tests.data.layouts.made import attribute, attributes_txt, pairs, put, write

MALE = attribute_index("Male")


# CelebA-HQ and CelebAMask-HQ -----------------------------------------------------------------------------------------

HQ = ("0.jpg", "1.jpg", "2.jpg")
ORIGINALS = ("119613.jpg", "182637.jpg", "182638.jpg")


def celebamask(root: Path) -> Path:
    put(root, *(f"CelebA-HQ-img/{name}" for name in HQ))
    put(root, "CelebAMask-HQ-mask-anno/0/00000_skin.png", "CelebAMask-HQ-mask-anno/0/00002_l_brow.png")
    put(root, "CelebAMask-HQ-mask-anno/0/00002_hair.png")
    write(root, "CelebAMask-HQ-attribute-anno.txt", attributes_txt(HQ))
    rows = "".join(f"{k:<8}{int(name[:6]) - 1:<10}{name}\n" for k, name in enumerate(ORIGINALS))
    write(root, "CelebA-HQ-to-CelebA-mapping.txt", "idx     orig_idx  orig_file\n" + rows)
    return root


@pytest.mark.parametrize("opened", ["", "CelebA-HQ-img"])
def test_celebamask_hq_has_attributes_originals_and_their_partition(tmp_path: Path, opened: str) -> None:
    faces = FaceFolder(celebamask(tmp_path) / opened)
    known = faces.annotations
    assert (faces.layout, faces.classes, len(faces)) == ("celebahq", (), 3)
    assert known.attributes[2].tolist() == [attribute(2, c) for c in range(40)]
    assert known.columns["original"] == ORIGINALS
    assert known.partition.tolist() == [0, 1, 2]


def test_masks_are_joined_to_their_picture_and_are_no_faces(tmp_path: Path) -> None:
    faces = FaceFolder(celebamask(tmp_path))
    assert len(LABELS) == 19
    assert faces.names == tuple(f"CelebA-HQ-img/{name}" for name in HQ)
    assert faces.annotations.masks is not None
    below = "CelebAMask-HQ-mask-anno/0"
    assert [dict(found) for found in faces.annotations.masks] == [
        {"skin": f"{below}/00000_skin.png"},
        {},
        {"l_brow": f"{below}/00002_l_brow.png", "hair": f"{below}/00002_hair.png"},
    ]
    assert "masks are joined to 2 pictures; no mask is read as a face" in faces.notes


def test_cleaning_leaves_masks_alone_and_copies_them(tmp_path: Path) -> None:
    root = celebamask(tmp_path / "hq")  # all files have the same bytes, so masks would be duplicates of each other
    report = clean_folder(root, dry_run=True)
    assert report.original == 3
    assert {entry.name for entry in report.set_aside} <= {f"CelebA-HQ-img/{name}" for name in HQ}
    assert report.unclear == ()
    for k, name in enumerate(HQ):
        put(root, f"CelebA-HQ-img/{name}", data=encode_png(picture(k, height=10, width=8)))
    clean_folder(root, out=tmp_path / "copy")
    again = FaceFolder(tmp_path / "copy")
    assert again.annotations.masks == FaceFolder(root).annotations.masks


def test_identities_of_the_originals_come_from_celebas_own_table(tmp_path: Path) -> None:
    root = celebamask(tmp_path)
    write(root, "identity_CelebA.txt", pairs([5, 6, 7], ORIGINALS))
    assert FaceFolder(root).annotations.identity.tolist() == [5, 6, 7]


# FFHQ ----------------------------------------------------------------------------------------------------------------


def ffhq_table(root: Path, count: int) -> None:
    points = [[float(16 * k), float(8 * k)] for k in range(68)]
    entries = {
        str(k): {
            "category": "training" if k else "validation",
            "image": {"pixel_size": [1024, 1024], "face_landmarks": points},
            "in_the_wild": {"pixel_size": [100, 80], "face_rect": [10, 20, 50, 70], "face_landmarks": points},
        }
        for k in range(count)
    }  # fmt: skip
    write(root, "ffhq-dataset-v2.json", json.dumps(entries))


def test_ffhq_has_landmarks_in_the_pictures_own_size_and_no_classes(tmp_path: Path) -> None:
    small = encode_png(picture(0, height=128, width=128))
    put(tmp_path, "thumbnails128x128/00000/00000.png", "thumbnails128x128/00000/00001.png", data=small)
    put(tmp_path, "thumbnails128x128/01000/01000.png", data=small)
    ffhq_table(tmp_path, 2)
    for where in (tmp_path, tmp_path / "thumbnails128x128"):
        faces = FaceFolder(where)
        known = faces.annotations
        assert (faces.layout, faces.classes) == ("ffhq", ())
        assert known.partition.tolist() == [1, 0, -1]
        assert known.points is not None
        assert known.points.shape == (3, 68, 2)
        assert known.points[0, 30].tolist() == [(480 + 0.5) / 8 - 0.5, (240 + 0.5) / 8 - 0.5]
        assert np.array_equal(known.landmarks[0, 2], known.points[0, 30])
        assert np.allclose(known.landmarks[0, 0], known.points[0, 36:42].mean(axis=0))
        assert np.isnan(known.landmarks[2]).all()
        assert any("1 picture has no entry" in note for note in faces.notes)


def test_ffhq_in_the_wild_has_boxes(tmp_path: Path) -> None:
    put(tmp_path, "in-the-wild-images/00000/00000.png", data=encode_png(picture(0, height=80, width=100)))
    ffhq_table(tmp_path, 1)
    boxes = FaceFolder(tmp_path).annotations.boxes
    assert boxes is not None
    assert boxes.tolist() == [[10, 20, 40, 50]]


def test_cleaning_needs_no_labels(tmp_path: Path) -> None:
    for k in range(2):
        put(tmp_path, f"images1024x1024/00000/0000{k}.png", data=encode_png(picture(k)))
    write(tmp_path, "ffhq-dataset-v2.json", "{")
    report = clean_folder(tmp_path, dry_run=True)
    assert report.original == 2
    assert any("cleaned without labels: " in note and "ffhq-dataset-v2.json" in note for note in report.notes)


def test_folders_of_a_thousand_are_no_classes_without_the_table_either(tmp_path: Path) -> None:
    faces = FaceFolder(put(tmp_path, "00000/00007.png", "01000/01234.png"))
    assert (faces.layout, faces.classes) == ("ffhq", ())


def test_a_damaged_table_of_ffhq_is_an_error(tmp_path: Path) -> None:
    put(tmp_path, "images1024x1024/00000/00000.png")
    for text in ("{", "[]", '{"0": {"image": {"face_landmarks": "x", "pixel_size": 3}}}', "[" * 100_000):
        write(tmp_path, "ffhq-dataset-v2.json", text)
        with pytest.raises(AnnotationError, match="ffhq-dataset-v2.json"):
            FaceFolder(tmp_path)


# People --------------------------------------------------------------------------------------------------------------

PEOPLE = ("Ann_Lee", "Bob_Ray", "Cy_Twombly")


@pytest.mark.parametrize("wrapper", ["", "lfw/", "lfw-deepfunneled/lfw-deepfunneled/"])
def test_lfw_has_an_identity_for_each_name_and_the_development_split(tmp_path: Path, wrapper: str) -> None:
    put(tmp_path, *(f"{wrapper}{name}/{name}_{k:04d}.jpg" for name in PEOPLE for k in (1, 2)))
    write(tmp_path, "peopleDevTrain.txt", "2\nAnn_Lee\t2\nCy_Twombly\t2\n")
    write(tmp_path, "peopleDevTest.txt", "1\nBob_Ray\t2\n")
    write(tmp_path, "pairs.txt", "10\t300\nAnn_Lee\t1\t2\n")
    faces = FaceFolder(tmp_path)
    assert (faces.layout, faces.identities, faces.classes) == ("lfw", PEOPLE, PEOPLE)
    assert faces.annotations.identity.tolist() == [0, 0, 1, 1, 2, 2]
    assert faces.annotations.partition.tolist() == [0, 0, 2, 2, 0, 0]
    assert any("pairs.txt" in note for note in faces.notes)


def test_a_list_of_people_that_contradicts_itself_is_an_error(tmp_path: Path) -> None:
    put(tmp_path, *(f"{name}/{name}_0001.jpg" for name in PEOPLE))
    write(tmp_path, "peopleDevTrain.txt", "3\nAnn_Lee\t1\n")
    with pytest.raises(AnnotationError, match="peopleDevTrain.txt"):
        FaceFolder(tmp_path)


def test_numbered_people_keep_their_numbers(tmp_path: Path) -> None:
    casia = FaceFolder(put(tmp_path / "casia", "0000045/001.jpg", "0000099/001.jpg", "0000100/001.jpg"))
    assert (casia.layout, casia.annotations.identity.tolist()) == ("identities", [45, 99, 100])
    vgg = FaceFolder(
        put(tmp_path / "vgg", "train/n000010/0001_01.jpg", "test/n000002/0001_01.jpg", "train/n000003/2_01.jpg")
    )
    assert vgg.annotations.identity.tolist() == [2, 3, 10]
    assert vgg.annotations.partition.tolist() == [2, 0, 0]
    ages = FaceFolder(put(tmp_path / "ages", "001/a.jpg", "010/b.jpg"))
    assert (ages.layout, ages.classes, ages.annotations.identity.tolist()) == ("classes", ("001", "010"), [-1, -1])
    assert FaceFolder(tmp_path / "ages", layout="identities").annotations.identity.tolist() == [1, 10]


# Labels in names, tables and codes -----------------------------------------------------------------------------------


def test_utkface_has_age_gender_and_race_in_its_names(tmp_path: Path) -> None:
    whole = [f"{age}_{age % 2}_{age % 5}_20170116174525{age:03d}.jpg.chip.jpg" for age in range(1, 60)]
    odd = ["39_1_20170116174525125.jpg", "53__0_20170116184028385.jpg", "61_3_20170109150557335.jpg"]
    faces = FaceFolder(put(tmp_path, *whole, *odd))
    known = faces.annotations
    rows = {name: k for k, name in enumerate(faces.names)}
    assert faces.layout == "utkface"
    said = {name: tuple(known.columns[c][rows[name]] for c in ("age", "gender", "race")) for name in faces.names}
    assert said[whole[2]] == (3, "female", "Indian")
    assert [said[name] for name in odd] == [(39, None, None), (53, None, "White"), (61, None, None)]
    assert [int(known.attributes[rows[name], MALE]) for name in (whole[2], whole[1], odd[0])] == [-1, 1, 0]
    assert any("3 names lack a part" in note and odd[0] in note for note in faces.notes)


def test_fairface_has_columns_and_parts(tmp_path: Path) -> None:
    put(tmp_path, "train/1.jpg", "train/2.jpg", "val/1.jpg")
    head = "file,age,gender,race,service_test\n"
    write(
        tmp_path,
        "fairface_label_train.csv",
        head + "train/1.jpg,3-9,Male,East Asian,True\ntrain/9.jpg,0-2,Male,White,True\n",
    )
    write(tmp_path, "fairface_label_val.csv", head + "val/1.jpg,more than 70,Female,Latino_Hispanic,False\n")
    faces = FaceFolder(tmp_path)
    known = faces.annotations
    assert faces.layout == "fairface"
    assert known.partition.tolist() == [0, 0, 1]
    assert known.columns["age"] == ("3-9", None, "more than 70")
    assert known.columns["race"] == ("East Asian", None, "Latino_Hispanic")
    assert known.attributes[:, MALE].tolist() == [1, 0, -1]
    assert any("1 row has no picture, of 2 (train/9.jpg)" in note for note in faces.notes)


@pytest.mark.parametrize("form", ["published", "kaggle"])
def test_raf_db_has_emotions_by_name_and_parts(tmp_path: Path, form: str) -> None:
    if form == "published":
        put(tmp_path, "basic/Image/aligned/train_00001_aligned.jpg", "basic/Image/aligned/test_0001_aligned.jpg")
        write(tmp_path, "basic/EmoLabel/list_patition_label.txt", "train_00001.jpg 5\ntest_0001.jpg 1\n")
    else:
        put(tmp_path, "DATASET/train/5/train_00001_aligned.jpg", "DATASET/test/1/test_0001_aligned.jpg")
    faces = FaceFolder(tmp_path)
    said = dict(zip([n.rpartition("/")[2][:4] for n in faces.names], faces.annotations.label.tolist(), strict=True))
    assert faces.layout == "rafdb"
    assert {part: faces.classes[label] for part, label in said.items()} == {"trai": "Sadness", "test": "Surprise"}
    assert sorted(faces.annotations.partition.tolist()) == [0, 2]
    assert sorted(faces.annotations.columns["code"]) == [1, 5]


def test_a_code_that_is_none_is_an_error(tmp_path: Path) -> None:
    put(tmp_path, "train_00001_aligned.jpg")
    write(tmp_path, "list_patition_label.txt", "train_00001.jpg 8\n")
    with pytest.raises(AnnotationError, match="line 1: expected a picture and a code from 1 to 7"):
        FaceFolder(tmp_path)


EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


@pytest.mark.parametrize("parts", [{"train": 0, "test": 2}, {"Training": 0, "PublicTest": 1, "PrivateTest": 2}])
def test_fer2013_folders_have_emotions_codes_and_parts(tmp_path: Path, parts: dict[str, int]) -> None:
    put(tmp_path, *(f"{part}/{emotion}/1.jpg" for part in parts for emotion in EMOTIONS))
    faces = FaceFolder(tmp_path)
    assert (faces.layout, faces.classes) == ("fer2013", EMOTIONS)
    assert faces.annotations.partition.tolist() == [parts[name.split("/")[0]] for name in faces.names]
    assert faces.annotations.columns["code"][:7] == (0, 1, 2, 3, 6, 4, 5)


# Boxes and landmarks -------------------------------------------------------------------------------------------------


def test_coco_gives_the_box_and_points_of_the_largest_face(tmp_path: Path) -> None:
    put(tmp_path, "images/1.jpg", "images/2.jpg")
    words = ["left_eye", "right_eye", "nose", "left_mouth_corner", "right_mouth_corner"]
    found = {
        "images": [{"id": 7, "file_name": "1.jpg"}, {"id": 8, "file_name": "2.jpg"}, {"id": 9, "file_name": "3.jpg"}],
        "categories": [{"id": 1, "name": "face", "keypoints": words}],
        "annotations": [
            {"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "keypoints": [5, 6, 2] * 5},
            {"image_id": 7, "category_id": 1, "bbox": [1, 2, 30, 40], "keypoints": [40, 9, 2, 20, 8, 1, *[0] * 9]},
        ],
    }  # fmt: skip
    write(tmp_path, "annotations/person_keypoints_train.json", json.dumps(found))
    faces = FaceFolder(tmp_path)
    known = faces.annotations
    assert faces.layout == "coco"
    assert known.boxes is not None
    assert known.boxes[0].tolist() == [1, 2, 30, 40]
    assert np.isnan(known.boxes[1]).all()
    assert known.landmarks[0, :2].tolist() == [[19.5, 7.5], [39.5, 8.5]]  # the person's right eye is on the left
    assert np.isnan(known.landmarks[0, 2]).all()
    assert known.partition.tolist() == [0, 0]
    assert [note for note in faces.notes if "further face" in note or "3.jpg" in note].__len__() == 2


def test_coco_wholebody_gives_68_points(tmp_path: Path) -> None:
    put(tmp_path, "1.jpg")
    found = {
        "images": [{"id": 1, "file_name": "1.jpg"}],
        "annotations": [
            {"image_id": 1, "bbox": [0, 0, 9, 9], "face_box": [1, 1, 2, 2], "face_kpts": [3.5, 4.5, 1] * 68}
        ],
    }
    write(tmp_path, "coco.json", json.dumps(found))
    known = FaceFolder(tmp_path).annotations
    assert known.points is not None
    assert known.points[0].tolist() == [[3, 4]] * 68
    assert known.landmarks[0].tolist() == [[3, 4]] * 5
    found["annotations"][0]["image_id"] = 5
    write(tmp_path, "coco.json", json.dumps(found))
    with pytest.raises(AnnotationError, match=r"coco.json: not in COCO format \(KeyError"):
        FaceFolder(tmp_path)


@pytest.mark.parametrize("beside", [True, False])
def test_yolo_face_gives_boxes_and_points_in_pixels(tmp_path: Path, beside: bool) -> None:
    put(tmp_path, *(("1.png", "2.png") if beside else ("images/train/1.png", "images/train/2.png")))
    below = "" if beside else "labels/train/"
    points = "0.25 0.5 0.75 0.5 -1 -1 0.25 0.8 0.75 0.8"
    write(tmp_path, f"{below}1.txt", f"0 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.5 0.4 {points}\n")
    write(tmp_path, f"{below}2.txt", "")
    faces = FaceFolder(tmp_path)
    known = faces.annotations
    assert faces.layout == "yolo"
    assert known.boxes is not None
    assert known.boxes[0].tolist() == [2, 3, 4, 4]  # the picture is 8 wide and 10 high
    assert known.landmarks[0, :2].tolist() == [[1.5, 4.5], [5.5, 4.5]]
    assert np.isnan(known.landmarks[0, 2]).all()
    assert known.partition.tolist() == ([-1, -1] if beside else [0, 0])


def test_captions_beside_pictures_are_not_yolo_and_are_named(tmp_path: Path) -> None:
    put(tmp_path, "1.png", "2.png")
    write(tmp_path, "1.txt", "a smiling face\n")
    write(tmp_path, "2.txt", "another\n")
    faces = FaceFolder(tmp_path)
    assert (faces.layout, faces.notes) == ("flat", ("2 files that may be tables are not read (1.txt, 2.txt)",))


def test_coco_reads_no_crowds_and_no_boxes_of_persons(tmp_path: Path) -> None:
    put(tmp_path, "1.jpg", "2.jpg")
    found: dict[str, Any] = {
        "images": [{"id": 1, "file_name": "1.jpg"}, {"id": 2, "file_name": "C:\\faces\\2.jpg"}],
        "categories": [
            {"id": 1, "name": "person", "keypoints": ["nose", "left_shoulder"]}, {"id": 2, "name": "head"},
        ],
        "annotations": [
            {"image_id": 1, "category_id": 1, "bbox": [0, 0, 8, 8], "keypoints": [3, 4, 2, 1, 8, 2]},
            {"image_id": 2, "category_id": 2, "bbox": [1, 1, 3, 3]},
            {"image_id": 2, "category_id": 2, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        ],
    }  # fmt: skip
    write(tmp_path, "annotations/train.json", json.dumps(found))
    faces = FaceFolder(tmp_path)
    known = faces.annotations
    assert known.boxes is not None
    assert np.isnan(known.boxes[0]).all()
    assert known.boxes[1].tolist() == [1, 1, 3, 3]
    assert known.landmarks[0, 2].tolist() == [2.5, 3.5]
    assert any("boxes of persons are not read as boxes of faces" in note for note in faces.notes)
    assert any("its 2 categories (person, head) are not read as labels" in note for note in faces.notes)


@pytest.mark.parametrize(
    ("images", "box", "says"),
    [
        (
            [{"id": 1, "file_name": "1.jpg"}, {"id": 1, "file_name": "2.jpg"}],
            [1, 1, 2, 2],
            "two images have the same id",
        ),
        ([{"id": 1, "file_name": "1.jpg"}], [1, 1, -2, 2], "is not a box"),
        ([{"id": 1, "file_name": "1.jpg"}], [1, 1, 2], "is not a box"),
    ],
)
def test_coco_that_contradicts_itself_is_an_error(images: list[Any], box: list[int], says: str, tmp_path: Path) -> None:
    put(tmp_path, "1.jpg", "2.jpg")
    entry = {"image_id": 1, "category_id": 1, "bbox": box}
    write(tmp_path, "coco.json", json.dumps({"images": images, "annotations": [entry]}))
    with pytest.raises(AnnotationError, match=says):
        FaceFolder(tmp_path)


def test_keypoints_of_other_numbers_are_named(tmp_path: Path) -> None:
    put(tmp_path, "1.jpg")
    entry = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9], "keypoints": [3, 4, 2] * 98}
    document = {"images": [{"id": 1, "file_name": "1.jpg"}], "annotations": [entry]}
    write(tmp_path, "wflw.json", json.dumps(document))
    assert any("1 face has keypoints that are not read" in note for note in FaceFolder(tmp_path).notes)


def test_classes_of_yolo_boxes_are_named(tmp_path: Path) -> None:
    put(tmp_path, "1.jpg", "2.jpg")
    for k in (1, 2):
        write(tmp_path, f"{k}.txt", f"{k} 0.5 0.5 0.2 0.2\n")
    assert "2 classes of boxes (1, 2) are not read as labels" in FaceFolder(tmp_path).notes


def test_fairface_below_a_wrapper_and_with_ages_that_excel_made_dates(tmp_path: Path) -> None:
    put(tmp_path, "fairface-img-margin025-trainval/train/1.jpg", "fairface-img-margin025-trainval/val/1.jpg")
    rows = "File;Age;Gender;Race;Service_Test\ntrain/1.jpg;03-Sep;Female;White;TRUE\n"
    write(tmp_path, "labels/fairface_label_train.csv", rows)
    faces = FaceFolder(tmp_path)
    assert faces.annotations.columns["age"] == ("3-9", None)
    assert faces.annotations.attributes[:, MALE].tolist() == [-1, 0]
    assert "1 age was changed to a date by Excel; 03-Sep is read as 3-9" in faces.notes
    write(tmp_path, "labels/fairface_label_train.csv", rows.replace("train/1", "train/7"))
    with pytest.raises(AnnotationError, match="none of its 1 names"):
        FaceFolder(tmp_path)


def test_fairface_joins_no_bare_name_to_the_picture_of_another_partition(tmp_path: Path) -> None:
    put(tmp_path, "train/2.jpg", "val/1.jpg")
    write(tmp_path, "train_labels.csv", "file,age,gender,race,service_test\n1.jpg,0-2,Male,White,True\n")
    with pytest.raises(AnnotationError, match="none of its 1 names"):
        FaceFolder(tmp_path)


@pytest.mark.parametrize("words", [("Surprise", "Neutral"), ("surprised", "neutral"), ("1", "7")])
def test_raf_db_in_folders_of_words_or_codes(words: tuple[str, str], tmp_path: Path) -> None:
    put(tmp_path, f"train/{words[0]}/train_00001_aligned.jpg", f"test/{words[1]}/test_0001_aligned.jpg")
    faces = FaceFolder(tmp_path)
    assert [faces.classes[k] for k in faces.annotations.label] == ["Neutral", "Surprise"]
    assert faces.annotations.partition.tolist() == [2, 0]


def test_the_compound_set_of_raf_db_gets_no_codes_of_the_basic_one(tmp_path: Path) -> None:
    put(tmp_path, *(f"{kind}/Image/aligned/train_00001_aligned.jpg" for kind in ("basic", "compound")))
    write(tmp_path, "basic/EmoLabel/list_patition_label.txt", "train_00001.jpg 5\n")
    write(tmp_path, "compound/EmoLabel/list_patition_label.txt", "train_00001.jpg 5\n")
    faces = FaceFolder(tmp_path)
    assert faces.annotations.columns["code"] == (5, None)
    assert any("compound/EmoLabel" in note for note in faces.notes)


BASIC = [f"train/{code}/train_0000{code}_aligned.jpg" for code in (1, 7)]
COMPOUND = [f"train/{code}/train_{code:05}_aligned.jpg" for code in (1, 7, 11)]


def test_numbered_folders_of_the_compound_set_are_no_basic_emotions(tmp_path: Path) -> None:
    put(tmp_path, *(f"basic/{name}" for name in BASIC), *(f"compound/{name}" for name in COMPOUND))
    for folder, codes in ((tmp_path, (1, 7, None, None, None)), (tmp_path / "basic", (1, 7))):
        assert FaceFolder(folder).annotations.columns["code"] == codes
    for folder in (tmp_path / "compound", tmp_path / "compound" / "train"):
        faces = FaceFolder(folder)
        assert faces.layout == "rafdb"
        assert set(faces.annotations.label.tolist()) == {-1}
        assert any("3 pictures are of the compound set, whose eleven emotions are not read" in n for n in faces.notes)


def test_codes_above_seven_say_that_numbered_folders_are_those_of_the_compound_set(tmp_path: Path) -> None:
    put(tmp_path, *(f"a/{name}" for name in BASIC), *(f"b/{name}" for name in COMPOUND))
    put(tmp_path, "b/test/2/test_0001_aligned.jpg")
    faces = FaceFolder(tmp_path)
    assert faces.annotations.columns["code"] == (1, 7, None, None, None, None)
    assert any("4 pictures are of the compound set" in note for note in faces.notes)


def test_the_table_of_the_compound_set_is_no_error_in_its_own_folder(tmp_path: Path) -> None:
    put(tmp_path / "compound", "Image/aligned/train_00001_aligned.jpg")
    write(tmp_path / "compound", "EmoLabel/list_patition_label.txt", "train_00001.jpg 11\n")
    assert FaceFolder(tmp_path / "compound").annotations.columns["code"] == (None,)


def test_utkface_is_told_by_most_names_and_not_by_the_first(tmp_path: Path) -> None:
    put(tmp_path, "000.jpg", *(f"{age}_1_2_2017010914240807{age % 10}.jpg" for age in range(20, 26)))
    faces = FaceFolder(tmp_path)
    assert faces.annotations.columns["age"] == (None, *range(20, 26))
    assert any("1 name lacks a part" in note and "000.jpg" in note for note in faces.notes)


@pytest.mark.parametrize("names", [
    ("train/n000002/1.jpg", "test/n000001/2.jpg"), ("train/Ann_A/Ann_A_0001.jpg", "test/Bo_B/Bo_B_0001.jpg"),
])  # fmt: skip
def test_one_person_in_each_partition_is_a_person(names: tuple[str, str], tmp_path: Path) -> None:
    faces = FaceFolder(put(tmp_path, *names))
    assert len(set(faces.annotations.identity.tolist())) == 2
    assert faces.annotations.partition.tolist() == [2, 0]


def test_lfw_with_another_picture_is_lfw(tmp_path: Path) -> None:
    put(tmp_path, *(f"Ann_A/Ann_A_000{k}.jpg" for k in range(1, 5)), "Bo_B/Bo_B_0001.jpg", "Bo_B/portrait.jpg")
    faces = FaceFolder(tmp_path)
    assert (faces.layout, faces.annotations.identity.tolist()) == ("lfw", [0, 0, 0, 0, 1, 1])
    write(tmp_path, "peopleDevTrain.txt", "1\nAnn_A\t4\n")
    assert any("peopleDevTrain.txt in the folder above is not read" in n for n in FaceFolder(tmp_path / "Ann_A").notes)


def test_coloured_masks_of_celebamask_hq_are_no_faces(tmp_path: Path) -> None:
    put(celebamask(tmp_path), "CelebAMask-HQ-mask-color/0.png", "CelebAMask-HQ-mask/0.png", "CelebAMask-HQ-mask/7.png")
    faces = FaceFolder(tmp_path)
    assert len(faces) == 3
    assert faces.annotations.masks is not None
    assert {"skin", "labels", "colours"} == set(faces.annotations.masks[0])
    assert any("1 mask belongs to no picture here" in note for note in faces.notes)


def test_ffhq_of_no_size_is_an_error(tmp_path: Path) -> None:
    put(tmp_path, "00000.png")
    facts = {"pixel_size": [0, 1024], "face_landmarks": [[1, 2]] * 68}
    write(tmp_path, "ffhq-dataset-v2.json", json.dumps({"0": {"category": "training", "image": facts}}))
    with pytest.raises(AnnotationError, match="pixel_size should be a width and a height"):
        FaceFolder(tmp_path)


def test_the_labels_of_stylegan_are_joined_below_a_wrapper(tmp_path: Path) -> None:
    put(tmp_path, "faces/00000/1.png", "faces/00000/2.png")
    write(tmp_path, "dataset.json", '{"labels": [["00000/1.png", 4], ["00000/2.png", 0]]}')
    assert FaceFolder(tmp_path).annotations.label.tolist() == [4, 0]


def test_a_folder_with_a_table_alone_names_it(tmp_path: Path) -> None:
    write(tmp_path, "fer2013.csv", "emotion,pixels,Usage\n0,1 2 3,Training\n")
    with pytest.raises(RefusedError, match=r"1 file that may be a table is not read \(fer2013.csv\)"):
        FaceFolder(tmp_path)


def test_a_single_table_of_raf_db_is_about_all_pictures_wherever_it_is(tmp_path: Path) -> None:
    put(tmp_path, "images/train_00001_aligned.jpg")
    write(tmp_path, "labels/list_patition_label.txt", "train_00001.jpg 5\n")
    assert FaceFolder(tmp_path).annotations.columns["code"] == (5,)
