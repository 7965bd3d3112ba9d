# Attachment below clsact, as on kernels before tcx.
merino_gtest(clsact_test LABEL netns
  SOURCES clsact_test.cpp
  LINK merino_datapath merino_base fmt::fmt)
