"""Small data sets in the layouts that other people's converters write: LIBERO's HDF5, OpenVLA's regeneration of it, LeRobot.

All numbers are our own. What can be wrong with such a set is an argument: another gripper, poses instead of deltas, a video that
is shorter than its table.
"""

import io
import json
from itertools import chain

import numpy as np

TASK = "pick_up_the_milk_and_place_it_in_the_basket"
MILK = "pick up the milk and place it in the basket"
SIZE = 16
"""Side of LeRobot images, pixels."""
FPS = 20


def actions(steps=30, gripper="command", kind="deltas", width=7, seed=0):
    """[steps, width] like LIBERO's: reach with an open hand, close it, carry, open it.

    gripper: command (-1 open, 1 close), opening (1 open, 0 closed), closing (0 open, 1 closed), reversed (1 open, -1 closed).
    kind: deltas, poses (m and rad above a table), degrees.
    """
    rng = np.random.default_rng(seed)
    found = rng.normal(0, 0.3, (steps, width)).clip(-1, 1)
    if kind == "poses":
        found[:, :6] = np.cumsum(0.02 * found[:, :6], axis=0) + np.array([-0.1, 0.1, 1.0, 3.1, 0.0, 0.0])
    if kind == "degrees":
        found[:, 3:6] *= 60
    closed = (np.arange(steps) >= steps // 3) & (np.arange(steps) < 5 * steps // 6)
    low, high = {"command": (-1, 1), "opening": (1, 0), "closing": (0, 1), "reversed": (1, -1)}[gripper]
    found[:, -1] = np.where(closed, high, low)
    return found


def hdf5(folder, layout="libero", *, task=TASK, episodes=2, steps=12, seen="after", **of_actions):
    """A file of LIBERO's layout; its path.

    layout: `libero` has attributes and models, `openvla` none at all.
    seen: whether robot states and images are of before or after the actions.
    """
    import h5py

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{task}_demo.hdf5"
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        if layout == "libero":
            data.attrs["problem_info"] = json.dumps({"language_instruction": MILK})
        for number in range(episodes):
            demo = data.create_group(f"demo_{number}")
            done = actions(steps, seed=number, **of_actions)
            states = np.random.default_rng(number).normal(size=(steps + 1, 40))
            shown = states[:-1] if seen == "before" else states[1:]
            demo["actions"], demo["states"] = done, states[:-1]
            demo["robot_states"] = np.hstack([shown[:, 8:10], np.zeros((steps, 7))])
            for name in ("agentview_rgb", "eye_in_hand_rgb"):
                grey = shade(number, np.arange(steps), name == "eye_in_hand_rgb")
                demo[f"obs/{name}"] = np.broadcast_to(grey[:, None, None, None], (steps, SIZE, SIZE, 3)).astype(np.uint8)
            if layout == "libero":
                demo.attrs["model_file"] = "<mujoco/>"
    return path


def shade(episode, step, wrist=False):
    """Every image of a short episode has a grey of its own; those of the wrist are the darkest."""
    return ((5 if wrist else 20) + 60 * (episode % 3) + 5 * step * (not wrist)) % 256


def lerobot(folder, version="v2.1", *, lengths=(8, 6), tasks=(MILK,), cameras=("image", "wrist_image"), video=False, **more):
    """A LeRobot set; its folder.

    Args:
        folder: where.
        version: v2.0, v2.1 (a file per episode) or v3.0 (all episodes in one).
        lengths: rows of the episodes.
        tasks: instructions, one for each episode in turn.
        cameras: columns of images.
        video: images as films instead of images in the table.
        more: `short`: images that the last episode's film lacks; `task_of`: (episode, step) -> number of the instruction;
            `states`: (episode, steps) -> [steps, 8]; else of `actions`.
    """
    short = more.pop("short", 0)
    shown = {camera: [[shade(e, t, "wrist" in camera) for t in range(n)] for e, n in enumerate(lengths)] for camera in cameras}
    parts = _parts(lengths, len(tasks), {} if video else shown, **more)
    v3 = version.startswith("v3")
    place = "chunk-{chunk_index:03d}/file-{file_index:03d}" if v3 else "chunk-{episode_chunk:03d}/episode_{episode_index:06d}"
    films = "videos/{video_key}/" + place if v3 else "videos/" + place.replace("/", "/{video_key}/")
    _info(folder, version, f"data/{place}.parquet", f"{films}.mp4", cameras, video=video)
    _meta(folder, version, lengths, tasks, cameras if video else ())
    for number, table in enumerate([_joined(parts)] if v3 else parts):
        where = {"chunk_index": 0, "file_index": 0, "episode_chunk": 0, "episode_index": number}
        _table(folder / f"data/{place}.parquet".format(**where), table)
        for camera, episodes in shown.items() if video else ():
            episodes[-1] = episodes[-1][: lengths[-1] - short]
            greys = [*chain(*episodes)] if v3 else episodes[number]
            film(folder / f"{films}.mp4".format(video_key=camera, **where), greys)
    return folder


def _parts(lengths, tasks, shown, *, task_of=None, states=None, **of_actions):
    """The columns of every episode."""
    parts, task_of = [], task_of or (lambda episode, step: episode % tasks)
    for episode, steps in enumerate(lengths):
        first = sum(lengths[:episode])
        state = np.zeros((steps, 8)) if states is None else states(episode, steps)
        columns = {
            "action": actions(steps, seed=episode, **of_actions).astype(np.float32).tolist(),
            "observation.state": state.astype(np.float32).tolist(),
            "timestamp": (np.arange(steps, dtype=np.float32) / FPS).tolist(),
            "frame_index": list(range(steps)),
            "episode_index": [episode] * steps,
            "index": list(range(first, first + steps)),
            "task_index": [task_of(episode, step) for step in range(steps)],
        }
        parts.append({**columns, **{camera: [png(grey) for grey in episodes[episode]] for camera, episodes in shown.items()}})
    return parts


def _joined(parts):
    return {name: [*chain(*(part[name] for part in parts))] for name in parts[0]}


def _table(path, columns):
    import pyarrow as pa
    import pyarrow.parquet as parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table(columns), path)


def _info(folder, version, data_path, video_path, cameras, *, video):
    kinds = {"action": "float32", "observation.state": "float32", "timestamp": "float32"}
    kinds |= dict.fromkeys(("frame_index", "episode_index", "index", "task_index"), "int64")
    kinds |= dict.fromkeys(cameras, "video" if video else "image")
    info = {"codebase_version": version, "fps": FPS, "chunks_size": 1000, "data_path": data_path, "video_path": video_path}
    info["features"] = {name: {"dtype": kind} for name, kind in kinds.items()}
    (folder / "meta").mkdir(parents=True, exist_ok=True)
    (folder / "meta" / "info.json").write_text(json.dumps(info))


def _meta(folder, version, lengths, tasks, films):
    import pandas as pd

    meta = folder / "meta"
    if not version.startswith("v3"):
        rows = [{"episode_index": episode, "tasks": list(tasks), "length": steps} for episode, steps in enumerate(lengths)]
        (meta / "episodes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        named = [{"task_index": number, "task": task} for number, task in enumerate(tasks)]
        (meta / "tasks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in named))
        return
    pd.DataFrame({"task_index": range(len(tasks))}, index=list(tasks)).to_parquet(meta / "tasks.parquet")
    ends = np.cumsum([0, *lengths]) / FPS
    table = {"episode_index": range(len(lengths)), "length": lengths, "data/chunk_index": 0, "data/file_index": 0}
    for name in films:
        table |= {f"videos/{name}/chunk_index": 0, f"videos/{name}/file_index": 0}
        table |= {f"videos/{name}/from_timestamp": ends[:-1], f"videos/{name}/to_timestamp": ends[1:]}
    table["stats/action/mean"] = [[0.0] * 7] * len(lengths)
    (meta / "episodes" / "chunk-000").mkdir(parents=True)
    pd.DataFrame(table).to_parquet(meta / "episodes" / "chunk-000" / "file-000.parquet")


def png(value):
    """A cell of a column of images."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.full((SIZE, SIZE, 3), value, np.uint8)).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def film(path, greys):
    """A video with one image per grey."""
    import imageio_ffmpeg

    path.parent.mkdir(parents=True, exist_ok=True)
    writer = imageio_ffmpeg.write_frames(str(path), (SIZE, SIZE), fps=FPS, quality=10, macro_block_size=16)
    writer.send(None)
    for grey in greys:
        writer.send(np.full((SIZE, SIZE, 3), grey, np.uint8).tobytes())
    writer.close()


def rlds(folder, *, lengths=(8, 6), tasks=(MILK,), cameras=("image", "wrist_image"), name="milk", split="train", **more):
    """An RLDS set of one file; its folder.

    Args:
        folder: where.
        lengths: steps of the episodes.
        tasks: instructions, one for each episode in turn.
        cameras: names of images under `steps/observation`.
        name: of the set.
        split: its name.
        more: `task_of`: (episode, step) -> number of the instruction; else of `actions`.
    """
    task_of = more.pop("task_of", lambda episode, step: episode % len(tasks))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "features.json").write_text("{}")
    records = b""
    for episode, steps in enumerate(lengths):
        features = {
            "steps/action": actions(steps, seed=episode, **more).astype("<f4").ravel(),
            "steps/is_first": np.arange(steps) == 0,
            "steps/language_instruction": [tasks[task_of(episode, step)].encode() for step in range(steps)],
            "steps/observation/state": np.zeros(8 * steps, "<f4"),
        }
        for camera in cameras:
            features[f"steps/observation/{camera}"] = [png(shade(episode, t, "wrist" in camera))["bytes"] for t in range(steps)]
        records += tfrecord(example(features))
    (folder / f"{name}-{split}.tfrecord-00000-of-00001").write_bytes(records)
    return folder


def tfrecord(message):
    """A record of a TFRecord file, with checksums of zeros."""
    return len(message).to_bytes(8, "little") + bytes(4) + message + bytes(4)


def example(features):
    """A `tf.train.Example`: names with lists of bytes, floats, or whole numbers."""

    def entry(values):
        if isinstance(values, list):
            return part(1, b"".join(part(1, value) for value in values))
        if values.dtype == np.float32:
            return part(2, part(1, values.tobytes()))
        return part(3, part(1, b"".join(varint(int(value)) for value in values)))

    return part(1, b"".join(part(1, part(1, name.encode()) + part(2, entry(values))) for name, values in features.items()))


def part(number, content):
    """A field of a protocol buffer message that holds bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(value):
    """A whole number in groups of seven bits."""
    low = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(byte | 0x80 for byte in low[:-1]), low[-1]])
