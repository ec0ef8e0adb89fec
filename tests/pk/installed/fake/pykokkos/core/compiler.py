import inspect
import sys
import sysconfig


class Compiler:
    def get_compiler(self):
        return "g++"

    def compile_object(
        self,
        setup,
        space,
        force_uvm,
        updated_decorator,
        updated_types,
        types_signature,
        restrict_views,
    ):
        folder = setup.get_output_dir(space)
        assert not folder.exists()
        source = inspect.getsource(setup.entity)
        assert f"def {setup.name}(" in source
        folder.mkdir()
        (folder / "bindings.cpp").write_text(source)
        (folder / "bindings.cpp.o").write_text("object code")
        if "factor" in source:
            print("Error on line 9: factor is not a word")
            sys.exit("PyKokkos: Translation failed")
        if "nothing" not in source:
            (folder / ("kernel" + sysconfig.get_config_var("EXT_SUFFIX"))).write_text(source)
