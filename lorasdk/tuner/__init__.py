"""WHAT A TUNER DOES between its face and the rooms that compute: opens, trains, answers, compares, exports. Light."""
