"""Models trained with google-tunix: conversion of its own models, and jaxeap's decoder as one that Tunix can train."""
