"""Layers: frozen descriptions with pure forward and backward functions over time-first arrays."""

from pyedge.layers.dropout import Dropout
from pyedge.layers.layer import Backward, Flatten, Forward, Layer, Shape, image_shape
from pyedge.layers.norm import BatchNorm
from pyedge.layers.pool import MaxPool, MeanPool
from pyedge.layers.residual import Residual
from pyedge.layers.spiking import Spiking
from pyedge.layers.weights import Conv, Dense

__all__ = [
    "Backward",
    "BatchNorm",
    "Conv",
    "Dense",
    "Dropout",
    "Flatten",
    "Forward",
    "Layer",
    "MaxPool",
    "MeanPool",
    "Residual",
    "Shape",
    "Spiking",
    "image_shape",
]
