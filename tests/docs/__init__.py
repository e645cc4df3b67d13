"""Tests of the README, the pages and the script that makes one of them."""
