"""Real parts that tests run against: a private RabbitMQ node."""
