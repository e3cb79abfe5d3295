"""Truth and predictions: tables read, ids matched, joined for comparison."""
