"""Tests of schedules: text form, golden numbers, agreement with torch, laws, conformance."""
