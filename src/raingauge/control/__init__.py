"""Control data: who may send and read, in SQLite or PostgreSQL.

    with database.write() as db:                       one transaction
        customer = customers.create(db, "Ada", now=now)
        issued = tokens.issue(db, customer.customer_id, now=now)

`database` opens and migrates, `tables` lists the columns; `customers`, `tokens`, `members`, `sessions` and `links` are
functions on a connection, `people` keeps the encrypted names. Times are aware UTC datetimes everywhere.
"""
