# The etcd lease source against a real etcd, and whole nodes with it.
merino_netns_test(netns_etcd
  SOURCES etcd_members.cpp etcd_source_test.cpp etcd_families_test.cpp etcd_away_test.cpp etcd_access_test.cpp etcd_node_test.cpp
  LINK merino_cluster)
