"""The instruments as the API shows them. `app.instruments` itself imports no framework."""
