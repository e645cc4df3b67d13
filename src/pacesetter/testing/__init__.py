"""Public conformance suites: subclass one in your own tests, give it your object by a fixture, and every fact is held.

    pacesetter.testing.schedules    ScheduleConformance
    pacesetter.testing.rules        RuleConformance
    pacesetter.testing.strategies   StrategyConformance

They need pytest. Pacesetter's own tests run them over everything that is registered.
"""
