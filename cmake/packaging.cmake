# What is installed where, and the Debian package of it (scripts/package). The package's prefix is /usr.
include(GNUInstallDirs)

install(TARGETS merinod merinoctl DESTINATION ${CMAKE_INSTALL_SBINDIR})
# Debian's directory of CNI plugins. Runtimes that look into /opt/cni/bin get a copy by `merinod install-cni`.
install(TARGETS merino DESTINATION lib/cni)
install(PROGRAMS scripts/mk-docker-opts DESTINATION lib/merino RENAME mk-docker-opts.sh)
install(FILES deploy/merino.service DESTINATION /lib/systemd/system)
install(FILES deploy/debian/default DESTINATION /etc/default RENAME merino)
install(FILES deploy/10-merino.conflist deploy/kube-merino.yml DESTINATION ${CMAKE_INSTALL_DATADIR}/merino)
install(FILES README.md deploy/debian/copyright ${CMAKE_CURRENT_BINARY_DIR}/package/changelog.gz DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md")
install(FILES deploy/debian/lintian-overrides DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides RENAME merino)

configure_file(deploy/debian/changelog.in ${CMAKE_CURRENT_BINARY_DIR}/package/changelog @ONLY)
foreach(page merinod merinoctl)
  configure_file(deploy/debian/man/${page}.8 ${CMAKE_CURRENT_BINARY_DIR}/package/${page}.8 COPYONLY)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/package/${page}.8.gz DESTINATION ${CMAKE_INSTALL_DATADIR}/man/man8)
endforeach()
execute_process(COMMAND gzip -9nf changelog merinod.8 merinoctl.8 WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/package COMMAND_ERROR_IS_FATAL ANY)

set(CPACK_GENERATOR DEB)
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_PACKAGE_NAME merino)
set(CPACK_PACKAGE_VENDOR merino)
set(CPACK_PACKAGE_CONTACT "merino maintainers <maintainers@merino.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "pod network: flannel's leases and wire format, with an eBPF datapath")
set(CPACK_PACKAGE_DESCRIPTION "merino connects the pods of Kubernetes nodes and plain Linux hosts.
It reads flannel's configuration, writes flannel's files and speaks
flannel's wire format. Packets are encapsulated, decapsulated and
delivered by BPF programs.")
set(CPACK_PACKAGE_FILE_NAME merino)
set(CPACK_PACKAGE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/package)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# iptables: the rules of kube-proxy and Docker may be in the legacy tables. modprobe: nf_conntrack. conntrack: what --cleanup makes the kernel
# forget.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "conntrack, iptables, kmod")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "containernetworking-plugins")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(debian ${CMAKE_CURRENT_SOURCE_DIR}/deploy/debian)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${debian}/postinst ${debian}/prerm ${debian}/postrm ${debian}/conffiles)
include(CPack)
