"""Train for a wearer, put the model on a board, and let it learn the wearer's new day (about a minute)."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from pyedge import image, recipe, task
from pyedge.adapt import Policy
from pyedge.boards import start
from pyedge.link import Board
from pyedge.wearer import BoardStudent, HostStudent, lessons_of, study

RECIPE = Path(__file__).parent / "recipes" / "wrist.toml"
passes = int(sys.argv[1]) if len(sys.argv) > 1 else 5

with TemporaryDirectory() as folder:
    # Other people first, then the wearer's sessions 1 and 2. Session 3 stays unseen.
    trained = task.train(
        recipe.read(RECIPE), Path(folder), on_epoch=lambda stage, row: print(stage.name, row["accuracy"])
    )

# Integers: what runs on the board, in one file.
data = task.open_task(trained.recipe, trained.encoder)
quantized = task.integers_of(trained, data)
blob = image.write(quantized.model)
print(quantized.report)

# Session 3: one labelled repetition of each gesture to learn, the rest to judge; a few old windows to keep.
policy = Policy(passes=passes)
lessons = lessons_of(data, policy)

host = HostStudent(blob)
found = study(host, lessons, policy)
print(f"accuracy on the unseen rest: {found.before.accuracy:.3f}, after learning {found.after.accuracy:.3f}")

# The same on an emulated board, which gets raw samples and labels; Board.open("/dev/ttyACM0") is a real one.
with start("mps2-an386") as running, Board.open(running.port) as board:
    student = BoardStudent(board, blob, trained.encoder)
    student.learn(lessons, policy)
    print("the same weights, bit for bit" if student.hash() == host.hash() else "the weights differ")
    board.commit()
