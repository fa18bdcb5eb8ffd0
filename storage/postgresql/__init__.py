"""PostgreSQL: any number of processes on any number of hosts, behind one connection pool in each."""
