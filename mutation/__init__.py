"""`make mutate`: plants faults in the rules of state, window, order and deletes, one at a time. Does a fast test see each?"""
