"""The verbs that measure runs, compare them and judge what they write."""
