# What is installed where, and the Debian package of it (scripts/package). The package's prefix is /usr.
include(GNUInstallDirs)

install(TARGETS merinod merinoctl DESTINATION ${CMAKE_INSTALL_SBINDIR})
# Debian's directory of CNI plugins. Runtimes that look into /opt/cni/bin get a copy by `merinod install-cni`.
install(TARGETS merino DESTINATION lib/cni)
install(PROGRAMS scripts/mk-docker-opts DESTINATION lib/merino RENAME mk-docker-opts.sh)
install(FILES deploy/merino.service DESTINATION /lib/systemd/system)
install(FILES deploy/debian/default DESTINATION /etc/default RENAME merino)
install(FILES deploy/10-merino.conflist deploy/kube-merino.yml DESTINATION ${CMAKE_INSTALL_DATADIR}/merino)
install(DIRECTORY deploy/monitoring DESTINATION ${CMAKE_INSTALL_DATADIR}/merino)
install(FILES README.md deploy/debian/copyright ${CMAKE_CURRENT_BINARY_DIR}/package/changelog.gz DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md")
install(FILES deploy/debian/lintian-overrides DESTINATION ${CMAKE_INSTALL_DATADIR}/lintian/overrides RENAME merino)

configure_file(deploy/debian/changelog.in ${CMAKE_CURRENT_BINARY_DIR}/package/changelog @ONLY)
execute_process(COMMAND gzip -9nf changelog WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/package COMMAND_ERROR_IS_FATAL ANY)

# Manual pages, their options from the programs' own --help.
foreach(page merinod merinoctl merino)
  set(output ${CMAKE_CURRENT_BINARY_DIR}/package/${page}.8.gz)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/scripts/man-page ${CMAKE_CURRENT_SOURCE_DIR}/deploy/man/${page}.8
            $<TARGET_FILE_DIR:merinod> $<TARGET_FILE_DIR:merinoctl> > ${page}.8
    COMMAND gzip -9nf ${page}.8
    WORKING_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/package
    DEPENDS deploy/man/${page}.8 scripts/man-page merinod merinoctl
    COMMENT "manual page ${page}(8)" VERBATIM)
  list(APPEND manual_pages ${output})
endforeach()
add_custom_target(manual_pages ALL DEPENDS ${manual_pages})
install(FILES ${manual_pages} DESTINATION ${CMAKE_INSTALL_DATADIR}/man/man8)
install(FILES deploy/completion/merinoctl deploy/completion/merinod DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)

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
# nftables: merino's own rules. iptables: the rules of kube-proxy and Docker may be in the legacy tables. modprobe: nf_conntrack. conntrack: what --cleanup makes the kernel
# forget.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "conntrack, iptables, kmod, nftables")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "containernetworking-plugins")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(debian ${CMAKE_CURRENT_SOURCE_DIR}/deploy/debian)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${debian}/postinst ${debian}/prerm ${debian}/postrm ${debian}/conffiles)
include(CPack)
