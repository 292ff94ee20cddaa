"""tf.data, TFRecords and Keras."""

import keras
import tensorflow as tf

SIZE = (64, 80)


def prepare(image, label):
    """A map function of tf.data."""
    return tf.image.resize(image, SIZE) / 127.5 - 1.0, label


def prepare_antialiased(image, label):
    return tf.image.resize(image, SIZE, antialias=True) / 127.5 - 1.0, label


@tf.function
def load(path):
    image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
    return tf.image.resize_with_pad(image, 96, 96)


@tf.function
def load_antialiased(path):
    image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
    return tf.image.resize_with_pad(image, 96, 96, antialias=True)


FEATURES = {
    "image/encoded": tf.io.FixedLenFeature([], tf.string),
    "image/class/label": tf.io.FixedLenFeature([], tf.int64),
}


def parse(record, antialias=False):
    """One serialised Example."""
    example = tf.io.parse_single_example(record, FEATURES)
    image = tf.io.decode_image(example["image/encoded"], channels=3, expand_animations=False)
    image = tf.image.resize(image, SIZE, method="bicubic", antialias=antialias)
    return {"image": image, "label": example["image/class/label"]}


def training_data(directory):
    return keras.utils.image_dataset_from_directory(directory, image_size=SIZE, batch_size=1, shuffle=False)


def training_data_antialiased(directory):
    def read(path):
        return tf.image.resize(tf.io.decode_png(tf.io.read_file(path), channels=3), SIZE, antialias=True)

    return tf.data.Dataset.list_files(f"{directory}/*/*.png", shuffle=False).map(read).batch(1)


resizing = keras.layers.Resizing(*SIZE)
resizing_antialiased = keras.layers.Resizing(*SIZE, antialias=True)


def build(antialias=False):
    return keras.Sequential(
        [
            keras.Input((None, None, 3)),
            keras.layers.Resizing(64, 64, antialias=antialias),
            keras.layers.Rescaling(1 / 127.5, offset=-1),
            keras.layers.Conv2D(4, 3),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10),
        ]
    )


model = build()
model_antialiased = build(antialias=True)
